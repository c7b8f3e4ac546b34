/**
 * Who calls a function of the project, and what a parameter of it is given there.
 * Invariant: pure; calls through values that move (fields, collections, other functions) are not seen, and then said to be
 * none.
 */
import type { Variable } from 'eslint-scope'
import { type Declarations, nameOf } from './declared.ts'
import type { LocalModule, Modules } from './modules.ts'
import { isTree, type Tree } from './tree.ts'

export interface Call {
  readonly module: LocalModule
  readonly call: Tree
  /** What is called, or passed on to be called. */
  readonly callee: Tree
}

const listOf = (value: unknown): readonly Tree[] => (Array.isArray(value) ? value.filter(isTree) : [])

/** `function f() {}`, `const f = () => …` */
function variableOf({ parsed }: LocalModule, owner: Tree): Variable | null {
  const parent = parsed?.parents.get(owner)
  const id = isTree(owner.id) ? owner.id : parent?.type === 'VariableDeclarator' ? parent.id : null
  const variables = new Set(parsed?.referred.values())
  for (const variable of parsed?.top.values() ?? []) variables.add(variable)
  return [...variables].find(({ identifiers }) => identifiers.some((one) => Object.is(one, id))) ?? null
}

interface Sources {
  readonly modules: Modules
  readonly declarations: Declarations
}

/** Where it is called by name, or handed to a call, in all modules. */
export function callsOf({ modules, declarations }: Sources, home: LocalModule, owner: Tree): readonly Call[] {
  const parent = home.parsed?.parents.get(owner)
  if (parent?.type === 'CallExpression') return [{ module: home, call: parent, callee: owner }]
  const wanted = variableOf(home, owner)
  if (wanted === null) return []
  const calls: Call[] = []
  for (const module of modules.values()) {
    for (const [node, variable] of module.parsed?.referred ?? []) {
      const declared = declarations.variable(module, variable)
      if (declared.kind !== 'variable' || declared.variable !== wanted) continue
      const call = module.parsed?.parents.get(node)
      if (call?.type === 'CallExpression') calls.push({ module, call, callee: node })
    }
  }
  return calls
}

/** The member of an object literal that the pattern takes the name from; the whole when that cannot be told. */
function memberFor(pattern: Tree, name: string, given: Tree): Tree {
  if (pattern.type !== 'ObjectPattern' || given.type !== 'ObjectExpression') return given
  const takes = listOf(pattern.properties).find(({ value }) => {
    const target = isTree(value) && value.type === 'AssignmentPattern' ? value.left : value
    return isTree(target) && target.type === 'Identifier' && target.name === name
  })
  const isSpread = listOf(given.properties).some(({ type }) => type === 'SpreadElement')
  const found = listOf(given.properties).find(({ key }) => takes !== undefined && nameOf(key) === nameOf(takes.key))
  return !isSpread && found !== undefined && isTree(found.value) ? found.value : given
}

/** What the parameter `name` of `owner` is made from in the call. */
export function argumentsFor({ call, callee }: Call, owner: Tree, name: string): readonly Tree[] {
  const args = listOf(call.arguments)
  // Handed to somebody who calls it, such as `rates.map(…)`: with something of what it is called on.
  if (call.callee !== callee) return [call.callee, ...args].filter(isTree).filter((one) => one !== callee)
  const params = listOf(owner.params)
  const at = params.findIndex((param) => {
    const target = param.type === 'AssignmentPattern' && isTree(param.left) ? param.left : param
    return target.type === 'Identifier' ? target.name === name : JSON.stringify(target).includes(`"name":"${name}"`)
  })
  const param = params[at]
  const given = args[at]
  const isSpread = args.slice(0, at + 1).some(({ type }) => type === 'SpreadElement')
  if (param === undefined || isSpread || param.type === 'RestElement') return args
  const [fallback, pattern] = param.type === 'AssignmentPattern' ? [param.right, param.left] : [null, param]
  if (given === undefined) return isTree(fallback) ? [fallback] : []
  return isTree(pattern) ? [memberFor(pattern, name, given)] : [given]
}
