/**
 * The graph's readers put together by the way that leads from a changed row to the entity.
 * Invariant: readers of one route differ only in columns, filter and features, so a change follows each way once
 * however many features lie at its end. Derived from the graph alone, once per graph.
 */
import type { Hop, Table } from '../define/index.ts'
import type { Graph, Reader } from '../graph/graph.ts'

export interface Route {
  readonly entity: string
  readonly path: readonly Hop[]
  readonly viaAssociation: boolean
  readonly readers: readonly { readonly reader: Reader; readonly bits: bigint }[]
}

export interface WatchedTable {
  readonly table: Table
  readonly routes: readonly Route[]
}

function plain(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}

/** Equal exactly for paths that lead through the same hops; tables are named, not spelt out. */
export function pathId(path: readonly Hop[]): string {
  const hops = path.map((hop) =>
    hop.kind === 'foreign-key'
      ? [hop.table.id, hop.column]
      : [hop.table.id, hop.through.id, hop.from, hop.to, hop.throughWhere],
  )
  return JSON.stringify(hops, plain)
}

function compileRoutes(graph: Graph): ReadonlyMap<string, WatchedTable> {
  const watched = new Map<string, WatchedTable>()
  for (const table of graph.tables) {
    const routes = new Map<string, Route & { readonly readers: { reader: Reader; bits: bigint }[] }>()
    for (const reader of graph.readers.get(table.id) ?? []) {
      const { entity, path, viaAssociation } = reader
      const id = `${entity} ${viaAssociation} ${pathId(path)}`
      const route = routes.get(id) ?? { entity, path, viaAssociation, readers: [] }
      routes.set(id, route)
      route.readers.push({ reader, bits: reader.bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n) })
    }
    watched.set(table.id, { table, routes: [...routes.values()] })
  }
  return watched
}

const compiled = new WeakMap<Graph, ReadonlyMap<string, WatchedTable>>()

/** `schema.name` → the ways that lead from its rows to entities. */
export function routesOf(graph: Graph): ReadonlyMap<string, WatchedTable> {
  const known = compiled.get(graph)
  if (known !== undefined) return known
  const routes = compileRoutes(graph)
  compiled.set(graph, routes)
  return routes
}
