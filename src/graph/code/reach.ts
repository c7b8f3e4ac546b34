/**
 * The code a compute function can reach: itself, and the functions and constants of the project that it names, directly
 * or through others.
 *
 * Invariants: pure; the same code gives the same text whatever it stands beside. Where it cannot be told what a name
 * holds (assigned elsewhere, a parameter of which no call is seen), the module counts as a whole, so that an edit is
 * rather told once too often than missed.
 */
import type { Variable } from 'eslint-scope'
import { argumentsFor, callsOf } from './calls.ts'
import { Declarations, type Declared } from './declared.ts'
import { type Functions, indexFunctions, locate } from './locate.ts'
import { type LocalModule, type Modules, type ParsedModule, readModules } from './modules.ts'
import { allOf, childrenOf, isTree, normalText, type Tree } from './tree.ts'

type Definition = Variable['defs'][number]

function asNode(value: unknown): Tree {
  if (isTree(value)) return value
  throw new TypeError('Not a node of a syntax tree.')
}

const isWithin = (inner: Tree, outer: Tree) => inner.start >= outer.start && inner.end <= outer.end

/** Another value than the declared one can be in it. */
function isReassigned({ parents }: ParsedModule, { references }: Variable): boolean {
  return references.some((reference) => {
    if (reference.isWrite() && reference.init !== true) return true
    let node: Tree | undefined = asNode(reference.identifier)
    let parent = parents.get(node)
    while (parent?.type === 'MemberExpression' && parent.object === node) {
      node = parent
      parent = parents.get(node)
    }
    if (node.type !== 'MemberExpression') return false
    return (parent?.type === 'AssignmentExpression' && parent.left === node) || parent?.type === 'UpdateExpression'
  })
}

class Reach {
  readonly #project: Project
  readonly #feature: string
  readonly #pieces = new Set<string>()
  readonly #seen = new Set<unknown>()

  constructor(project: Project, feature: string) {
    this.#project = project
    this.#feature = feature
  }

  get text(): string {
    return JSON.stringify([...this.#pieces].sort())
  }

  node(module: LocalModule, node: Tree): void {
    if (this.#seen.has(node)) return
    this.#seen.add(node)
    this.#pieces.add(normalText(node))
    this.#follow(module, node)
  }

  #follow(module: LocalModule, node: Tree): void {
    for (const one of allOf(node)) {
      const variable = one.type === 'Identifier' ? module.parsed?.referred.get(one) : undefined
      const declared = variable?.identifiers[0]
      if (variable === undefined || declared === undefined || isWithin(asNode(declared), node)) continue
      this.#variable(module, variable)
    }
  }

  #variable(module: LocalModule, variable: Variable): void {
    if (this.#seen.has(variable)) return
    this.#seen.add(variable)
    for (const definition of variable.defs) {
      if (definition.type === 'ImportBinding') this.#declared(this.#project.declarations.variable(module, variable))
      else this.#definition(module, variable, definition)
    }
  }

  #definition(module: LocalModule, variable: Variable, definition: Definition): void {
    const { parsed } = module
    if (parsed === null || isReassigned(parsed, variable)) this.#whole(module)
    else if (definition.type === 'Parameter') this.#parameter(module, variable.name, asNode(definition.node))
    else this.node(module, asNode(definition.node))
  }

  /** What the calls of the function give it. */
  #parameter(module: LocalModule, name: string, owner: Tree): void {
    const calls = callsOf(this.#project, module, owner)
    const named = calls.filter(({ call }) =>
      [...allOf(call)].some(({ type, value }) => type === 'Literal' && value === this.#feature),
    )
    const given = named.length > 0 ? named : calls
    if (given.length === 0) this.#whole(module)
    for (const found of given) for (const node of argumentsFor(found, owner, name)) this.node(found.module, node)
  }

  #declared(declared: Declared): void {
    if (declared.kind === 'outside') this.#pieces.add(declared.name)
    else if (declared.kind === 'module') this.#whole(declared.module)
    else if (declared.kind === 'expression') this.node(declared.module, declared.node)
    else this.#variable(declared.module, declared.variable)
  }

  #whole(module: LocalModule): void {
    if (this.#seen.has(module)) return
    this.#seen.add(module)
    if (module.parsed === null) this.#pieces.add(module.text.replaceAll('\r\n', '\n'))
    else
      for (const node of childrenOf(module.parsed.program))
        if (node.type !== 'ImportDeclaration') this.node(module, node)
  }
}

export interface Project {
  readonly modules: Modules
  readonly declarations: Declarations
  readonly functions: Functions
}

/** @param file of the configuration */
export function readSources(file: string): Project {
  const modules = readModules(file)
  return { modules, declarations: new Declarations(modules), functions: indexFunctions(modules) }
}

/** @param compute as it prints itself; null when it is not to be found in the project */
export function reachOf(project: Project, feature: string, compute: string): string | null {
  const located = locate(project.functions, feature, compute)
  if (located.length === 0) return null
  const reach = new Reach(project, feature)
  for (const { module, node } of located) reach.node(module, node)
  return reach.text
}
