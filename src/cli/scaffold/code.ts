/**
 * Writes TypeScript as this project's formatter would leave it: an object has its entries on lines of their own unless it
 * is marked as short and fits.
 * Invariant: text of a document comes out as a literal or in a comment, never as code. Pure.
 */

export type Code =
  | string
  | { readonly object: readonly Entry[]; readonly short?: boolean }
  | { readonly list: readonly Code[] }
  | { readonly call: string; readonly argument: Code }
  | { readonly arrow: string; readonly body: Code }

/** A comment stands above its entry. */
export type Entry = readonly [name: string, value: Code, comment?: string | undefined]

const WIDTH = 120
const PLAIN_NAME = /^[A-Za-z_$][\w$]*$/

/** A string literal, in the quotes that need fewer escapes. */
export function literal(text: string): string {
  const plain = JSON.stringify(text)
    .slice(1, -1)
    .replaceAll('\\"', '"')
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029')
  const count = (quote: string) => plain.split(quote).length
  return count("'") > count('"') ? `"${plain.replaceAll('"', '\\"')}"` : `'${plain.replaceAll("'", "\\'")}'`
}

/** Fixed text in a template literal. */
export const templateText = (text: string): string =>
  JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll('`', '\\`').replaceAll('${', '\\${')

export const nameOf = (name: string): string => (PLAIN_NAME.test(name) ? name : literal(name))

/** One line of a comment, which it cannot end. */
export const commentText = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replaceAll('*/', '* /')
    .trim()

const pad = (depth: number) => '  '.repeat(depth)

/** All on one line; undefined where it holds what needs more. */
function flat(code: Code): string | undefined {
  if (typeof code === 'string') return code
  if ('call' in code) {
    const argument = flat(code.argument)
    return argument === undefined ? undefined : `${code.call}(${argument})`
  }
  if ('arrow' in code) {
    const body = flat(code.body)
    return body === undefined
      ? undefined
      : `${code.arrow} => ${typeof code.body === 'object' && 'object' in code.body ? `(${body})` : body}`
  }
  const parts = 'list' in code ? code.list.map(flat) : code.object.map(flatEntry)
  if (parts.includes(undefined) || ('object' in code && code.short !== true && parts.length > 0)) return undefined
  if ('list' in code) return `[${parts.join(', ')}]`
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`
}

function flatEntry([name, value, comment]: Entry): string | undefined {
  const text = flat(value)
  if (text === undefined || comment !== undefined) return undefined
  return value === name ? name : `${nameOf(name)}: ${text}`
}

/** @param before width already taken of the line */
export function render(code: Code, depth: number, before: number): string {
  const line = flat(code)
  if (line !== undefined && (before + line.length < WIDTH || typeof code === 'string')) return line
  if (typeof code === 'string') return code
  if ('call' in code) return `${code.call}(${render(code.argument, depth, before + code.call.length + 1)})`
  if ('arrow' in code) {
    const isObject = typeof code.body === 'object' && 'object' in code.body
    if (!isObject) return `${code.arrow} =>\n${pad(depth + 1)}${render(code.body, depth + 1, 2 * depth + 2)}`
    return `${code.arrow} => (${render(code.body, depth, before + code.arrow.length + 5)})`
  }
  if ('list' in code) {
    const items = code.list.map((item) => `${pad(depth + 1)}${render(item, depth + 1, 2 * depth + 2)},\n`)
    return `[\n${items.join('')}${pad(depth)}]`
  }
  return `{\n${code.object.map((entry) => renderEntry(entry, depth + 1)).join('')}${pad(depth)}}`
}

function renderEntry([name, value, comment]: Entry, depth: number): string {
  const above = comment === undefined ? '' : `${pad(depth)}/** ${commentText(comment)} */\n`
  const begin = `${pad(depth)}${value === name ? '' : `${nameOf(name)}: `}`
  const text = render(value, depth, begin.length)
  const isLong = typeof value === 'string' && /^['"]/.test(value) && begin.length + text.length >= WIDTH
  return `${above}${isLong ? `${begin.trimEnd()}\n${pad(depth + 1)}${text}` : begin + text},\n`
}

/** An import as the formatter sorts and breaks it. */
export function importOf(names: readonly string[], from: string): string {
  const bare = (name: string) => name.replace(/^type /, '')
  const sorted = [...new Set(names)].sort((left, right) => bare(left).localeCompare(bare(right), 'en'))
  const line = `import { ${sorted.join(', ')} } from ${literal(from)}\n`
  if (line.length <= WIDTH + 1) return line
  return `import {\n${sorted.map((name) => `  ${name},\n`).join('')}} from ${literal(from)}\n`
}
