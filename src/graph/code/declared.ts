/**
 * What names mean across the modules of a project: which declaration an import or an export leads to.
 * Invariant: pure look-up; what leads out of the project, or nowhere, is said as such.
 */
import type { Variable } from 'eslint-scope'
import { type LocalModule, type Modules, type ParsedModule, resolveLocal } from './modules.ts'
import { childrenOf, isTree, type Tree } from './tree.ts'

export type Declared =
  | { readonly kind: 'variable'; readonly module: LocalModule; readonly variable: Variable }
  /** An expression that is exported as default. */
  | { readonly kind: 'expression'; readonly module: LocalModule; readonly node: Tree }
  | { readonly kind: 'module'; readonly module: LocalModule }
  /** Of a package, or not to be found. */
  | { readonly kind: 'outside'; readonly name: string }

/** Of an identifier, or of a name in quotes. */
export function nameOf(node: unknown): string {
  if (!isTree(node)) return ''
  return String(node.type === 'Identifier' ? node.name : node.value)
}

function outside(specifier: string, name: string): Declared {
  // A file is the same whether it runs from TypeScript or was compiled.
  return { kind: 'outside', name: `${specifier.replace(/\.[mc]?[jt]s$/, '')} ${name}` }
}

function statements({ program }: ParsedModule, type: string): readonly Tree[] {
  return childrenOf(program).filter((statement) => statement.type === type)
}

export class Declarations {
  readonly #modules: Modules
  /** A file is looked for once. */
  readonly #resolved = new Map<string, LocalModule | undefined>()

  constructor(modules: Modules) {
    this.#modules = modules
  }

  #module(specifier: string, from: LocalModule): LocalModule | undefined {
    const id = JSON.stringify([specifier, from.url])
    if (!this.#resolved.has(id)) this.#resolved.set(id, this.#modules.get(resolveLocal(specifier, from.url) ?? ''))
    return this.#resolved.get(id)
  }

  /** @param name '*' for the module as a whole */
  imported(from: LocalModule, source: unknown, name: string): Declared {
    const specifier = nameOf(source)
    const module = this.#module(specifier, from)
    return (module === undefined ? null : this.exported(module, name)) ?? outside(specifier, name)
  }

  /** null: the module exports nothing of that name. */
  exported(module: LocalModule, name: string, seen: ReadonlySet<LocalModule> = new Set()): Declared | null {
    const { parsed } = module
    if (parsed === null || name === '*') return { kind: 'module', module }
    if (seen.has(module)) return null
    return this.#named(module, parsed, name) ?? this.#fromAll(module, parsed, name, new Set([...seen, module]))
  }

  #named(module: LocalModule, parsed: ParsedModule, name: string): Declared | null {
    const local = (found: string): Declared | null => {
      const variable = parsed.top.get(found)
      return variable === undefined ? null : this.variable(module, variable)
    }
    if (name === 'default') {
      const [statement] = statements(parsed, 'ExportDefaultDeclaration')
      const node = statement?.declaration
      if (isTree(node)) return (isTree(node.id) ? local(nameOf(node.id)) : null) ?? { kind: 'expression', module, node }
    }
    for (const { source, specifiers } of statements(parsed, 'ExportNamedDeclaration')) {
      const found = (Array.isArray(specifiers) ? specifiers : [])
        .filter(isTree)
        .find((one) => nameOf(one.exported) === name)
      if (found === undefined) continue
      return isTree(source) ? this.imported(module, source, nameOf(found.local)) : local(nameOf(found.local))
    }
    for (const { exported, source } of statements(parsed, 'ExportAllDeclaration')) {
      if (isTree(exported) && nameOf(exported) === name) return this.imported(module, source, '*')
    }
    return local(name)
  }

  #fromAll(module: LocalModule, parsed: ParsedModule, name: string, seen: ReadonlySet<LocalModule>): Declared | null {
    for (const { exported, source } of statements(parsed, 'ExportAllDeclaration')) {
      const target = isTree(exported) ? undefined : this.#module(nameOf(source), module)
      const found = target === undefined ? null : this.exported(target, name, seen)
      if (found !== null) return found
    }
    return null
  }

  /** Through the import, if it is one. */
  variable(module: LocalModule, variable: Variable): Declared {
    const [definition] = variable.defs
    if (definition?.type !== 'ImportBinding') return { kind: 'variable', module, variable }
    const { node, parent } = definition
    if (node.type === 'ImportNamespaceSpecifier') return this.imported(module, parent.source, '*')
    return this.imported(module, parent.source, node.type === 'ImportSpecifier' ? nameOf(node.imported) : 'default')
  }
}
