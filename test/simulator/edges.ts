/**
 * Associations between records, kept in both directions at once.
 * Invariant: an edge and its inverse exist together; adding or removing one touches neither record.
 */
import type { ObjectType } from './schema.ts'

export interface AssociationType {
  readonly typeId: number
  readonly label: string | null
}

interface Direction {
  readonly typeId: number
  readonly inverse: number
  readonly label: string | null
}

const BETWEEN: Readonly<Record<string, readonly [Direction, ...Direction[]]>> = {
  'companies>contacts': [
    { typeId: 280, inverse: 279, label: null },
    { typeId: 2, inverse: 1, label: 'Primary' },
  ],
  'contacts>companies': [
    { typeId: 279, inverse: 280, label: null },
    { typeId: 1, inverse: 2, label: 'Primary' },
  ],
  'companies>deals': [
    { typeId: 342, inverse: 341, label: null },
    { typeId: 6, inverse: 5, label: 'Primary' },
  ],
  'deals>companies': [
    { typeId: 341, inverse: 342, label: null },
    { typeId: 5, inverse: 6, label: 'Primary' },
  ],
  'deals>contacts': [{ typeId: 3, inverse: 4, label: null }],
  'contacts>deals': [{ typeId: 4, inverse: 3, label: null }],
}

export interface Edge {
  readonly from: ObjectType
  readonly fromId: number
  readonly to: ObjectType
  readonly toId: number
  readonly typeId: number
}

export class Edges {
  /** 'companies>contacts' → from id → to id → type ids */
  readonly #edges = new Map<string, Map<number, Map<number, Set<number>>>>()

  /** The unlabelled type between two object types; undefined: they cannot be associated. */
  defaultType(from: ObjectType, to: ObjectType): number | undefined {
    return BETWEEN[`${from}>${to}`]?.[0].typeId
  }

  knows(from: ObjectType, to: ObjectType, typeId: number): boolean {
    return this.#direction(from, to, typeId) !== undefined
  }

  #direction(from: ObjectType, to: ObjectType, typeId: number): Direction | undefined {
    return BETWEEN[`${from}>${to}`]?.find((direction) => direction.typeId === typeId)
  }

  #targets(from: ObjectType, to: ObjectType, fromId: number): Map<number, Set<number>> {
    const key = `${from}>${to}`
    const all = this.#edges.get(key) ?? new Map<number, Map<number, Set<number>>>()
    this.#edges.set(key, all)
    const targets = all.get(fromId) ?? new Map<number, Set<number>>()
    all.set(fromId, targets)
    return targets
  }

  add(edge: Edge): void {
    const direction = this.#direction(edge.from, edge.to, edge.typeId)
    if (direction === undefined) throw new Error(`No association ${edge.typeId} from ${edge.from} to ${edge.to}.`)
    const put = (from: ObjectType, fromId: number, to: ObjectType, toId: number, typeId: number) => {
      const targets = this.#targets(from, to, fromId)
      targets.set(toId, (targets.get(toId) ?? new Set<number>()).add(typeId))
    }
    put(edge.from, edge.fromId, edge.to, edge.toId, direction.typeId)
    put(edge.to, edge.toId, edge.from, edge.fromId, direction.inverse)
  }

  /** Removes the edge of one type, or of all types. */
  remove(edge: Omit<Edge, 'typeId'> & { readonly typeId?: number | undefined }): void {
    const drop = (from: ObjectType, fromId: number, to: ObjectType, toId: number, typeId: number | undefined) => {
      const all = this.#edges.get(`${from}>${to}`)
      const types = all?.get(fromId)?.get(toId)
      if (typeId === undefined) types?.clear()
      else types?.delete(typeId)
      if (types?.size === 0) all?.get(fromId)?.delete(toId)
    }
    const { from, fromId, to, toId, typeId } = edge
    const inverse = typeId === undefined ? undefined : this.#direction(from, to, typeId)?.inverse
    if (typeId !== undefined && inverse === undefined) return
    drop(from, fromId, to, toId, typeId)
    drop(to, toId, from, fromId, inverse)
  }

  /** Target ids ascending, each with its types. */
  of(from: ObjectType, fromId: number, to: ObjectType): readonly (readonly [number, readonly AssociationType[]])[] {
    const targets = this.#edges.get(`${from}>${to}`)?.get(fromId)
    if (targets === undefined) return []
    return [...targets]
      .sort(([left], [right]) => left - right)
      .map(([toId, types]) => [
        toId,
        [...types].map((typeId) => ({ typeId, label: this.#direction(from, to, typeId)?.label ?? null })),
      ])
  }

  /** Every edge that starts at the record. */
  *from(from: ObjectType, fromId: number): Generator<Edge> {
    for (const [key, all] of this.#edges) {
      const [start, to] = key.split('>')
      if (start !== from) continue
      for (const [toId, types] of all.get(fromId) ?? []) {
        for (const typeId of types)
          yield { from, fromId, to: to === 'companies' ? to : to === 'deals' ? to : 'contacts', toId, typeId }
      }
    }
  }

  removeAll(from: ObjectType, fromId: number): void {
    for (const edge of [...this.from(from, fromId)]) this.remove(edge)
  }

  /** Each pair once, in the direction its types are listed first. */
  *all(): Generator<Edge> {
    for (const [from, to] of [
      ['companies', 'contacts'],
      ['companies', 'deals'],
      ['deals', 'contacts'],
    ] as const) {
      for (const [fromId, targets] of this.#edges.get(`${from}>${to}`) ?? []) {
        for (const [toId, types] of targets) for (const typeId of types) yield { from, fromId, to, toId, typeId }
      }
    }
  }
}
