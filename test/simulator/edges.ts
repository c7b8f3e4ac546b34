/**
 * Associations between records, kept in both directions at once.
 * Invariant: an edge and its inverse exist together; adding or removing one touches neither record. A type is known by
 * its category and its id together: those a portal makes are numbered on their own.
 */
import type { ObjectType } from './object-types.ts'

export type Category = 'HUBSPOT_DEFINED' | 'USER_DEFINED'

export interface AssociationType {
  readonly category: Category
  readonly typeId: number
  readonly label: string | null
}

interface Direction {
  readonly category: Category
  readonly typeId: number
  /** Type id of the same association seen from the other end. */
  readonly inverse: number
  label: string | null
}

type Pair = readonly [from: string, to: string, typeId: number, inverse: number, label: string | null]

/** The unlabelled one of a pair first. */
const PAIRS: readonly Pair[] = [
  ['companies', 'contacts', 280, 279, null],
  ['companies', 'contacts', 2, 1, 'Primary'],
  ['companies', 'deals', 342, 341, null],
  ['companies', 'deals', 6, 5, 'Primary'],
  ['deals', 'contacts', 3, 4, null],
  ['companies', 'tickets', 340, 339, null],
  ['companies', 'tickets', 25, 26, 'Primary'],
  ['tickets', 'contacts', 16, 15, null],
  ['tickets', 'deals', 28, 27, null],
]

export interface Edge {
  readonly from: ObjectType
  readonly fromId: number
  readonly to: ObjectType
  readonly toId: number
  readonly typeId: number
  readonly category: Category
}

/** Without a category: HubSpot's own. */
export type EdgeInput = Omit<Edge, 'category'> & { readonly category?: Category | undefined }

const inverseOf = (edge: Edge, typeId: number): Edge => ({
  ...edge,
  from: edge.to,
  fromId: edge.toId,
  to: edge.from,
  toId: edge.fromId,
  typeId,
})

export class Edges {
  /** 'companies>contacts' → its types, the unlabelled one first */
  readonly #types = new Map<string, Direction[]>()
  /** 'companies>contacts' → from id → to id → types */
  readonly #edges = new Map<string, Map<number, Map<number, Set<Direction>>>>()
  /** Pairs in the direction they were first defined in. */
  readonly #pairs: (readonly [ObjectType, ObjectType])[] = []
  /** As they were defined; one that was taken back keeps its place, so that ids stay. */
  readonly #own: (readonly [ObjectType, ObjectType, string | null])[] = []

  constructor() {
    for (const [from, to, typeId, inverse, label] of PAIRS) {
      this.#define(from, to, { category: 'HUBSPOT_DEFINED', typeId, inverse, label })
    }
  }

  #define(from: ObjectType, to: ObjectType, direction: Direction): void {
    const put = (key: string, one: Direction) => this.#types.set(key, [...(this.#types.get(key) ?? []), one])
    if (!this.#types.has(`${from}>${to}`)) this.#pairs.push([from, to])
    put(`${from}>${to}`, direction)
    if (from !== to) {
      put(`${to}>${from}`, { ...direction, typeId: direction.inverse, inverse: direction.typeId })
    }
  }

  /** A type of the portal's own, in both directions. @param label null: the unlabelled one. @returns its id */
  define(from: ObjectType, to: ObjectType, label: string | null): number {
    const typeId = 1 + 2 * this.#own.length
    this.#own.push([from, to, label])
    this.#define(from, to, { category: 'USER_DEFINED', typeId, inverse: typeId + 1, label })
    return typeId
  }

  own(): readonly (readonly [ObjectType, ObjectType, string | null])[] {
    return this.#own
  }

  /** @throws Error when there is no such type of the portal's own */
  rename(from: ObjectType, to: ObjectType, typeId: number, label: string): void {
    this.#ownType(from, to, typeId).label = label
    this.#own[(typeId - 1) / 2] = [from, to, label]
    const back = this.types(to, from).find(({ inverse, category }) => inverse === typeId && category === 'USER_DEFINED')
    if (back !== undefined) back.label = label
  }

  /** Removes the label from the portal and from every pair that carries it. */
  undefine(from: ObjectType, to: ObjectType, typeId: number): void {
    const gone = this.#ownType(from, to, typeId)
    for (const [fromId, targets] of [...(this.#edges.get(`${from}>${to}`) ?? [])]) {
      for (const toId of [...targets.keys()]) this.remove({ from, fromId, to, toId, typeId, category: 'USER_DEFINED' })
    }
    const without = (key: string, id: number) => {
      const left = (this.#types.get(key) ?? []).filter((one) => one.typeId !== id || one.category !== gone.category)
      this.#types.set(key, left)
    }
    without(`${from}>${to}`, typeId)
    without(`${to}>${from}`, gone.inverse)
  }

  #ownType(from: ObjectType, to: ObjectType, typeId: number): Direction {
    const found = this.#direction(from, to, typeId, 'USER_DEFINED')
    if (found === undefined) throw new Error(`There is no label ${typeId} from ${from} to ${to}.`)
    return found
  }

  /** Types between two object types; none: they cannot be associated. */
  types(from: ObjectType, to: ObjectType): readonly Direction[] {
    return this.#types.get(`${from}>${to}`) ?? []
  }

  /** The unlabelled type between two object types; undefined: they cannot be associated. */
  defaultType(from: ObjectType, to: ObjectType): AssociationType | undefined {
    return this.types(from, to)[0]
  }

  knows(from: ObjectType, to: ObjectType, typeId: number, category: Category): boolean {
    return this.#direction(from, to, typeId, category) !== undefined
  }

  #direction(from: ObjectType, to: ObjectType, typeId: number, category: Category): Direction | undefined {
    return this.types(from, to).find((one) => one.typeId === typeId && one.category === category)
  }

  #targets(from: ObjectType, to: ObjectType, fromId: number): Map<number, Set<Direction>> {
    const key = `${from}>${to}`
    const all = this.#edges.get(key) ?? new Map<number, Map<number, Set<Direction>>>()
    this.#edges.set(key, all)
    const targets = all.get(fromId) ?? new Map<number, Set<Direction>>()
    all.set(fromId, targets)
    return targets
  }

  add(input: EdgeInput): void {
    const edge: Edge = { ...input, category: input.category ?? 'HUBSPOT_DEFINED' }
    const put = ({ from, fromId, to, toId, typeId, category }: Edge) => {
      const direction = this.#direction(from, to, typeId, category)
      if (direction === undefined) throw new Error(`No association ${typeId} from ${from} to ${to}.`)
      const targets = this.#targets(from, to, fromId)
      targets.set(toId, (targets.get(toId) ?? new Set<Direction>()).add(direction))
      return direction
    }
    put(inverseOf(edge, put(edge).inverse))
  }

  /** Removes the edge of one type, or of all types. @returns those that were there */
  remove(input: Omit<EdgeInput, 'typeId'> & { readonly typeId?: number | undefined }): readonly Edge[] {
    const { from, fromId, to, toId, typeId, category = 'HUBSPOT_DEFINED' } = input
    const drop = (edge: Edge) => {
      const all = this.#edges.get(`${edge.from}>${edge.to}`)
      const types = all?.get(edge.fromId)?.get(edge.toId)
      for (const one of types ?? []) {
        if (one.typeId === edge.typeId && one.category === edge.category) types?.delete(one)
      }
      if (types?.size === 0) all?.get(edge.fromId)?.delete(edge.toId)
    }
    const here = [...(this.#edges.get(`${from}>${to}`)?.get(fromId)?.get(toId) ?? [])]
    const gone = here.filter((one) => typeId === undefined || (one.typeId === typeId && one.category === category))
    return gone.map((one) => {
      const edge: Edge = { from, fromId, to, toId, typeId: one.typeId, category: one.category }
      drop(edge)
      drop(inverseOf(edge, one.inverse))
      return edge
    })
  }

  /** Target ids ascending, each with its types. */
  of(from: ObjectType, fromId: number, to: ObjectType): readonly (readonly [number, readonly AssociationType[]])[] {
    const targets = this.#edges.get(`${from}>${to}`)?.get(fromId)
    if (targets === undefined) return []
    return [...targets]
      .sort(([left], [right]) => left - right)
      .map(([toId, types]) => [toId, [...types].map(({ category, typeId, label }) => ({ category, typeId, label }))])
  }

  /** Every edge that starts at the record. */
  *from(from: ObjectType, fromId: number): Generator<Edge> {
    for (const [key, all] of this.#edges) {
      const [start, to] = key.split('>')
      if (start !== from || to === undefined) continue
      for (const [toId, types] of all.get(fromId) ?? []) {
        for (const { typeId, category } of types) yield { from, fromId, to, toId, typeId, category }
      }
    }
  }

  removeAll(from: ObjectType, fromId: number): void {
    for (const edge of [...this.from(from, fromId)]) this.remove(edge)
  }

  /** Each pair once, in the direction its types are listed first. */
  *all(): Generator<Edge> {
    for (const [from, to] of this.#pairs) {
      for (const [fromId, targets] of this.#edges.get(`${from}>${to}`) ?? []) {
        for (const [toId, types] of targets) {
          for (const { typeId, category } of types) yield { from, fromId, to, toId, typeId, category }
        }
      }
    }
  }
}
