/**
 * The elements of a JSON array of any size, one after the other as its text comes.
 * Invariant: no more is held than one element and one chunk; a text that ends before its array does, or is none, is a
 * transient failure, never the end of the list.
 */

import { parseJson } from '../../define/exact-json.ts'
import { SourceError } from '../../define/index.ts'

const LONGEST_ELEMENT = 32 * 1024 * 1024
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPENS = new Set([0x5b, 0x7b])
const CLOSES = new Set([0x5d, 0x7d])

function bad(what: string): SourceError {
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_BAD_BODY',
    message: `The list is not a whole JSON array: ${what}.`,
    mend: 'It is repeated by itself. If it lasts, check path and base URL: something else may answer there.',
  })
}

/** Parsed only when it is asked for: those that were read before are skipped unread. */
export type Element = () => unknown

function elementOf(text: string): Element {
  return () => {
    try {
      return parseJson(text)
    } catch {
      throw bad('an element cannot be read')
    }
  }
}

/** @throws SourceError transient */
export async function* arrayElements(chunks: AsyncIterable<string>): AsyncGenerator<Element, void, void> {
  let depth = 0
  let held = ''
  let isText = false
  let isEscaped = false
  let hasBegun = false
  for await (const chunk of chunks) {
    let from = 0
    for (let at = 0; at < chunk.length; at += 1) {
      const code = chunk.charCodeAt(at)
      if (isText) {
        if (isEscaped) isEscaped = false
        else if (code === BACKSLASH) isEscaped = true
        else if (code === QUOTE) isText = false
        continue
      }
      if (code === QUOTE) isText = true
      else if (OPENS.has(code)) {
        depth += 1
        if (depth > 1) continue
        if (hasBegun || chunk[at] !== '[' || (held + chunk.slice(from, at)).trim() !== '')
          throw bad('it is something else')
        hasBegun = true
        held = ''
        from = at + 1
      } else if (depth === 1 && (code === COMMA || CLOSES.has(code))) {
        const text = held + chunk.slice(from, at)
        // Only an empty array has nothing between its brackets.
        if (text.trim() !== '') yield elementOf(text)
        held = ''
        from = at + 1
        if (code !== COMMA) depth = 0
      } else if (CLOSES.has(code)) depth -= 1
    }
    held += chunk.slice(from)
    if (held.length > LONGEST_ELEMENT) throw bad(`an element is longer than ${LONGEST_ELEMENT} characters`)
  }
  if (!hasBegun || depth !== 0) throw bad('it ends too early')
  if (held.trim() !== '') throw bad('more follows its end')
}
