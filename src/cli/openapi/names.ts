/** Names for the code that is written, out of names of a document that may be anything. Pure. */

const WORD = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g

/** `Company people`, `company-people` → `companyPeople`, `company_people`; empty where nothing of it makes a name. */
export function identifierOf(text: string, style: 'camel' | 'snake' | 'pascal'): string {
  const words = (text.normalize('NFKD').match(WORD) ?? []).map((word) => word.toLowerCase())
  const cased = words.map((word, at) =>
    style === 'snake' || (style === 'camel' && at === 0) ? word : word[0]?.toUpperCase() + word.slice(1),
  )
  const name = cased.join(style === 'snake' ? '_' : '').slice(0, 40)
  return /^\d/.test(name) ? (style === 'snake' ? `n_${name}` : `${style === 'camel' ? 'n' : 'N'}${name}`) : name
}

/** Hands out each name once. */
export class Names {
  readonly #taken: Set<string>

  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set(taken)
  }

  /** The first of `wanted` that is free, else the first with a number behind it. */
  take(...wanted: readonly string[]): string {
    const [first = 'name'] = wanted
    let name = wanted.find((one) => one !== '' && !this.#taken.has(one))
    for (let number = 2; name === undefined; number += 1) {
      if (!this.#taken.has(`${first}${number}`)) name = `${first}${number}`
    }
    this.#taken.add(name)
    return name
  }
}
