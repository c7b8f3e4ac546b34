/**
 * A syntax tree without what does not matter to values: places, comments, quotes, types.
 * Invariant: the same code gives the same text, whether it runs from TypeScript or was compiled, on any machine.
 */
import { parse } from 'acorn'

export interface Tree {
  readonly type: string
  /** Characters of the source: from, up to. */
  readonly start: number
  readonly end: number
  readonly [member: string]: unknown
}

const PLACES = new Set(['start', 'end', 'loc', 'range', 'raw', 'sourceType'])

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

/** @throws SyntaxError */
export function parseModule(text: string): Tree {
  const program: unknown = parse(text, { ecmaVersion: 'latest', sourceType: 'module', ranges: true })
  if (!isTree(program)) throw new SyntaxError('not a program')
  return program
}

/** The nodes right below. */
export function childrenOf(node: Tree): readonly Tree[] {
  return Object.values(node).flatMap((member) => (Array.isArray(member) ? member : [member]).filter(isTree))
}

/** The node and all below it. */
export function* allOf(node: Tree): Generator<Tree> {
  yield node
  for (const child of childrenOf(node)) yield* allOf(child)
}

export function normalText(node: Tree): string {
  return JSON.stringify(node, (member, value: unknown) => {
    if (PLACES.has(member)) return undefined
    if (typeof value === 'bigint') return `${value}n`
    // A function prints alike wherever it was declared.
    return member === 'type' && value === 'FunctionDeclaration' ? 'FunctionExpression' : value
  })
}

const isFunction = ({ type }: Tree) => type === 'FunctionExpression' || type === 'ArrowFunctionExpression'

/** As `Function.prototype.toString` prints functions and methods; null for what is no source, such as a bound function. */
export function parseFunction(text: string): Tree | null {
  for (const source of [`(${text})`, `({${text}})`]) {
    try {
      const found = [...allOf(parseModule(source))].find(isFunction)
      if (found !== undefined) return found
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
  }
  return null
}

/** The text of a function by itself: all that is known of one whose source is not at hand. */
export function functionText(text: string): string {
  const found = parseFunction(text)
  return found === null ? text : normalText(found)
}
