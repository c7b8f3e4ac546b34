/**
 * PostgreSQL's text of an array, `{1,NULL,"a b",{2}}`, taken apart.
 * Invariant: elements stay as PostgreSQL printed them; text that is no array throws. Pure.
 */
export type ArrayText = readonly (string | null | ArrayText)[]

export function parseArray(text: string): ArrayText {
  // Bounds that do not start at 1 stand before it: `[0:1]={…}`.
  let at = text.indexOf('{')
  const misread = () => new TypeError('This is not the text of an array.')
  const quoted = (): string => {
    let value = ''
    for (at += 1; text[at] !== '"'; at += 1) {
      if (text[at] === '\\') at += 1
      const character = text[at]
      if (character === undefined) throw misread()
      value += character
    }
    at += 1
    return value
  }
  const plain = (): string | null => {
    const start = at
    while (at < text.length && text[at] !== ',' && text[at] !== '}') at += 1
    const value = text.slice(start, at)
    return value.toUpperCase() === 'NULL' ? null : value
  }
  const list = (): ArrayText => {
    const items: (string | null | ArrayText)[] = []
    at += 1
    if (text[at] === '}') {
      at += 1
      return items
    }
    for (;;) {
      items.push(text[at] === '{' ? list() : text[at] === '"' ? quoted() : plain())
      const end = text[at]
      at += 1
      if (end === '}') return items
      if (end !== ',') throw misread()
    }
  }
  if (at < 0) throw misread()
  return list()
}
