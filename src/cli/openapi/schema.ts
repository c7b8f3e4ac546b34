/**
 * Schemas of an OpenAPI document, as far as a connector needs them: references followed, parts merged, types named.
 * Invariant: whatever the document holds, also references in a circle, an answer comes and nothing throws. Pure.
 */

export type Node = Readonly<Record<string, unknown>>

/** References followed in a row, and levels of parts that are merged. */
const DEEPEST = 12

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
export const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
export const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)

export function child(node: unknown, ...names: readonly string[]): unknown {
  let found: unknown = node
  for (const name of names) {
    if (!isNode(found) || !Object.hasOwn(found, name)) return undefined
    found = found[name]
  }
  return found
}

function unescaped(part: string): string {
  const plain = part.replaceAll('~1', '/').replaceAll('~0', '~')
  try {
    return decodeURIComponent(plain)
  } catch {
    // A percent sign that is not an escape stands for itself.
    return plain
  }
}

export class Schemas {
  readonly document: Node
  /** A reference to another file, which is not followed; the first that was met. */
  foreign: string | undefined

  constructor(document: Node) {
    this.document = document
  }

  /** The node itself, or what it refers to within the document; undefined for a reference that leads nowhere. */
  at(node: unknown): Node | undefined {
    let found = node
    for (let steps = 0; steps < DEEPEST; steps += 1) {
      if (!isNode(found)) return undefined
      const reference = textOf(found.$ref)
      if (reference === undefined) return found
      if (!reference.startsWith('#/')) {
        this.foreign ??= reference
        return undefined
      }
      found = child(this.document, ...reference.slice(2).split('/').map(unescaped))
    }
    return undefined
  }

  /** The schema and all that it is composed of. */
  #parts(schema: unknown, depth = 0): readonly Node[] {
    const node = this.at(schema)
    if (node === undefined || depth > DEEPEST) return []
    const parts = [node.allOf, node.oneOf, node.anyOf].flatMap(listOf)
    return [node, ...parts.flatMap((part) => this.#parts(part, depth + 1))].slice(0, 200)
  }

  /** Of the schema and of everything it is composed of; the first of a name counts. */
  properties(schema: unknown): ReadonlyMap<string, Node> {
    const found = new Map<string, Node>()
    for (const { properties } of this.#parts(schema)) {
      for (const [name, property] of Object.entries(isNode(properties) ? properties : {})) {
        const node = this.at(property)
        if (node !== undefined && !found.has(name)) found.set(name, node)
      }
    }
    return found
  }

  /** JSON Schema's word for it, null left out; undefined when the schema does not say. */
  type(schema: unknown): string | undefined {
    const parts = this.#parts(schema)
    for (const { type, properties, items } of parts) {
      const [named] = [type].flat().filter((one) => typeof one === 'string' && one !== 'null')
      if (typeof named === 'string') return named
      if (isNode(properties)) return 'object'
      if (items !== undefined) return 'array'
    }
    const values = parts.flatMap((part) => listOf(part.enum))
    return values.length > 0 && values.every((value) => typeof value === 'string') ? 'string' : undefined
  }

  format(schema: unknown): string | undefined {
    return this.#parts(schema).flatMap(({ format }) => textOf(format) ?? [])[0]
  }

  enumOf(schema: unknown): readonly unknown[] {
    return this.#parts(schema)
      .flatMap((part) => listOf(part.enum))
      .filter((value) => value !== null)
  }

  /** What an array holds. */
  items(schema: unknown): Node | undefined {
    for (const { items } of this.#parts(schema)) if (items !== undefined) return this.at(items)
    return undefined
  }
}
