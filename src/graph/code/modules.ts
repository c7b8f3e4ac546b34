/**
 * The modules of a project: the file of its configuration and what it imports, not what comes from packages.
 *
 * Invariant: reads only, and never fails a start: a module that cannot be parsed is kept as its text, whole.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { extname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { analyze, type ScopeManager, type Variable } from 'eslint-scope'
import type { Program } from 'estree'
import { allOf, childrenOf, isTree, parseModule, type Tree } from './tree.ts'

export interface ParsedModule {
  readonly program: Tree
  readonly parents: ReadonlyMap<Tree, Tree>
  /** Identifier that refers to something → what it refers to. */
  readonly referred: ReadonlyMap<Tree, Variable>
  /** Declared at the top, by name. */
  readonly top: ReadonlyMap<string, Variable>
}

export interface LocalModule {
  readonly url: string
  readonly text: string
  /** null: no JavaScript, or none that can be parsed. */
  readonly parsed: ParsedModule | null
}

export type Modules = ReadonlyMap<string, LocalModule>

/** Our own sources are a package like any other, also where a project stands beside them. */
const OWN = new URL('../../', import.meta.url).href

function isProgram(tree: unknown): tree is Program {
  return isTree(tree) && tree.type === 'Program'
}

/** eslint-scope gives back the very nodes it was given. */
function asTree(node: unknown): Tree {
  if (isTree(node)) return node
  throw new TypeError('Not a node of a syntax tree.')
}

function resolvedFile(specifier: string, from: string): string | null {
  try {
    const isPath = /^(\.{0,2}\/|file:)/.test(specifier)
    const file = isPath ? fileURLToPath(new URL(specifier, from)) : createRequire(from).resolve(specifier)
    return realpathSync(file)
  } catch (error) {
    // Not there, or not for us to see: as for the packages, what it is does not count.
    if (error instanceof Error && 'code' in error) return null
    throw error
  }
}

/** URL of what is imported; null when it is no module of the project. */
export function resolveLocal(specifier: string, from: string): string | null {
  const file = resolvedFile(specifier, from)
  if (file === null || /[\\/]node_modules[\\/]/.test(file)) return null
  const { href } = pathToFileURL(file)
  return !href.startsWith('file:') || href.startsWith(OWN) ? null : href
}

function sourceOf(url: string, text: string): string | null {
  const extension = extname(fileURLToPath(url))
  if (extension === '.ts' || extension === '.mts') return stripTypeScriptTypes(text)
  return extension === '.js' || extension === '.mjs' ? text : null
}

function parentsOf(program: Tree): ReadonlyMap<Tree, Tree> {
  const parents = new Map<Tree, Tree>()
  for (const node of allOf(program)) for (const child of childrenOf(node)) parents.set(child, node)
  return parents
}

function topOf(scopes: ScopeManager): ReadonlyMap<string, Variable> {
  const module = scopes.scopes.find(({ type }) => type === 'module')
  return new Map(module?.variables.map((variable) => [variable.name, variable]))
}

function parse(url: string, text: string): ParsedModule | null {
  try {
    const source = sourceOf(url, text)
    if (source === null) return null
    const program = parseModule(source)
    if (!isProgram(program)) return null
    const scopes = analyze(program, { ecmaVersion: 2024, sourceType: 'module' })
    const referred = new Map<Tree, Variable>()
    for (const { references } of scopes.scopes) {
      for (const { identifier, resolved } of references)
        if (resolved !== null) referred.set(asTree(identifier), resolved)
    }
    return { program, parents: parentsOf(program), referred, top: topOf(scopes) }
  } catch {
    // Whatever a parser has to say, and not all throw errors: its text is still there to be compared.
    return null
  }
}

/** What it imports or exports from elsewhere, as written. */
function specifiersOf({ program }: ParsedModule): readonly string[] {
  return childrenOf(program).flatMap(({ source }) =>
    isTree(source) && typeof source.value === 'string' ? [source.value] : [],
  )
}

/** @param file of the configuration */
export function readModules(file: string): Modules {
  const modules = new Map<string, LocalModule>()
  const left = [pathToFileURL(realpathSync(file)).href]
  for (let url = left.pop(); url !== undefined; url = left.pop()) {
    if (modules.has(url)) continue
    const text = readFileSync(fileURLToPath(url), 'utf8')
    const parsed = parse(url, text)
    modules.set(url, { url, text, parsed })
    for (const specifier of parsed === null ? [] : specifiersOf(parsed)) {
      const next = resolveLocal(specifier, url)
      if (next !== null) left.push(next)
    }
  }
  return modules
}
