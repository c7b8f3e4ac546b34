/**
 * Where a function of the running program stands in the sources.
 *
 * Found by its own text, which is the same in both, so it does not matter who called whom to declare it. Of several of
 * one text it is the one in an object, else in a call, that names the feature; else any of them, that is all.
 */
import type { LocalModule, Modules } from './modules.ts'
import { allOf, childrenOf, isTree, normalText, parseFunction, type Tree } from './tree.ts'

export interface Located {
  readonly module: LocalModule
  readonly node: Tree
}

const FUNCTIONS = new Set(['ArrowFunctionExpression', 'FunctionExpression', 'FunctionDeclaration'])

function isNamed(node: Tree, feature: string): boolean {
  return childrenOf(node).some(
    ({ type, key, value }) =>
      type === 'Property' &&
      isTree(key) &&
      (key.name ?? key.value) === 'name' &&
      isTree(value) &&
      value.value === feature,
  )
}

function isInside({ module, node }: Located, type: string, isMeant: (outer: Tree) => boolean): boolean {
  for (let outer = module.parsed?.parents.get(node); outer !== undefined; outer = module.parsed?.parents.get(outer)) {
    if (outer.type === type && isMeant(outer)) return true
  }
  return false
}

/** Normal text of every function of the project. */
export type Functions = ReadonlyMap<string, readonly Located[]>

export function indexFunctions(modules: Modules): Functions {
  const found = [...modules.values()].flatMap((module): readonly Located[] =>
    module.parsed === null
      ? []
      : [...allOf(module.parsed.program)].filter(({ type }) => FUNCTIONS.has(type)).map((node) => ({ module, node })),
  )
  return Map.groupBy(found, ({ node }) => normalText(node))
}

/** Empty when it is not in the project: made by a package, or at run time. */
export function locate(functions: Functions, feature: string, text: string): readonly Located[] {
  const wanted = parseFunction(text)
  const found = wanted === null ? [] : (functions.get(normalText(wanted)) ?? [])
  const inObject = found.filter((one) => isInside(one, 'ObjectExpression', (outer) => isNamed(outer, feature)))
  if (inObject.length > 0) return inObject
  const says = (outer: Tree) => [...allOf(outer)].some(({ type, value }) => type === 'Literal' && value === feature)
  const inCall = found.filter((one) => isInside(one, 'CallExpression', says))
  return inCall.length > 0 ? inCall : found
}
