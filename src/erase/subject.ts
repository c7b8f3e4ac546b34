/**
 * Whom an erasure is of, and where anything about it may stand, told from the declarations alone.
 * Invariant: every source table that a connector fills or a feature reads is looked at; what is about the record is what
 * is declared so, or an association that leads from it or to it. Pure.
 */
import { type AnyEntity, type Delivery, POSTGRES_TYPE, type ProjectConfig, type Table } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'

export interface AboutColumn {
  readonly table: Table
  readonly column: string
}

export interface Lookup {
  readonly connector: string
  readonly stream: string
  /** Column of the record whose value was looked up. */
  readonly column: string
  /** Tables of what was answered, keyed by that value. */
  readonly tables: readonly Table[]
}

export interface Subject {
  readonly table: Table
  /** PostgreSQL type of its key. */
  readonly keyType: string
  readonly entities: readonly AnyEntity[]
  readonly about: readonly AboutColumn[]
  readonly lookups: readonly Lookup[]
  /** [connector, stream] that fill the table. */
  readonly streams: readonly (readonly [string, string])[]
  readonly deliveries: readonly Delivery[]
  /** Of other entities: features that its columns feed, by entity. */
  readonly readBy: ReadonlyMap<string, readonly string[]>
  /** Every source table, by id. */
  readonly tables: ReadonlyMap<string, Table>
}

function allTables(graph: Graph, { connectors }: ProjectConfig): ReadonlyMap<string, Table> {
  const filled = connectors.flatMap(({ streams }) => streams.flatMap(({ tables }) => tables))
  return new Map([...graph.tables, ...filled].map((table) => [table.id, table]))
}

const singular = (name: string) => name.replace(/ies$/, 'y').replace(/s$/, '')

/** `company`, `contact`, `contacts`, `hubspot.contacts`: an entity, or a source table by any of its names. */
function tableNamed(what: string, graph: Graph, tables: ReadonlyMap<string, Table>): Table {
  const entity = graph.entities.get(what)
  if (entity !== undefined) return entity.entity.table
  const all = [...tables.values()]
  const found = [
    all.filter(({ id }) => id === what),
    all.filter(({ name }) => name === what),
    all.filter(({ name }) => singular(name) === what),
  ].find((some) => some.length > 0)
  const [table, second] = found ?? []
  if (table !== undefined && second === undefined) return table
  const names = [...graph.entities.keys(), ...all.map(({ id }) => id)].join(', ')
  throw new RescoreError({
    code: 'ERASE_UNKNOWN',
    fate: 'stop',
    message: second === undefined ? `There is no '${what}' in this project.` : `'${what}' may be several tables.`,
    mend: `Name one of: ${names}.`,
  })
}

function associations(graph: Graph): readonly (AboutColumn & { readonly of: string })[] {
  const paths = [...graph.readers.values()]
    .flat()
    .map((reader) => ({ ...reader, first: graph.entities.get(reader.entity) }))
  return paths.flatMap(({ path, first }) =>
    path.flatMap((hop, at) => {
      if (hop.kind !== 'association') return []
      const from = at === 0 ? first?.entity.table.id : path[at - 1]?.table.id
      return [
        { table: hop.through, column: hop.from, of: from ?? '' },
        { table: hop.through, column: hop.to, of: hop.table.id },
      ]
    }),
  )
}

function aboutOf(graph: Graph, tables: ReadonlyMap<string, Table>, subject: Table): readonly AboutColumn[] {
  const declared = [...tables.values()].flatMap((table) =>
    table.about.filter(({ table: of }) => of.id === subject.id).map(({ column }) => ({ table, column })),
  )
  const implied = associations(graph).filter(({ of }) => of === subject.id)
  const all = [...declared, ...implied].map(
    ({ table, column }) => [`${table.id}\n${column}`, { table, column }] as const,
  )
  return [...new Map(all).values()]
}

/** @throws RescoreError ERASE_UNKNOWN, ERASE_KEY */
export function subjectOf(what: string, graph: Graph, config: ProjectConfig): Subject {
  const tables = allTables(graph, config)
  const table = tableNamed(what, graph, tables)
  const [key] = table.key
  const column = key === undefined ? undefined : table.columns[key]
  if (key === undefined || column === undefined || table.key.length !== 1) {
    throw new RescoreError({
      code: 'ERASE_KEY',
      fate: 'stop',
      message: `Records of ${table.id} have no key of their own (${table.key.join(', ')}).`,
      mend: 'Erase the record they are about.',
    })
  }
  const entities = [...graph.entities.values()].map(({ entity }) => entity).filter((one) => one.table.id === table.id)
  const names = new Set(entities.map(({ name }) => name))
  const about = aboutOf(graph, tables, table)
  const readBy = new Map<string, string[]>()
  for (const id of [table.id, ...about.map((one) => one.table.id)]) {
    for (const { entity, bits } of graph.readers.get(id) ?? []) {
      if (names.has(entity)) continue
      const nodes = graph.entities.get(entity)?.features ?? []
      const features = nodes.filter(({ bit }) => bits.includes(bit)).map(({ feature }) => feature.name)
      readBy.set(entity, [...new Set([...(readBy.get(entity) ?? []), ...features])])
    }
  }
  return {
    table,
    keyType: POSTGRES_TYPE[column.kind],
    entities,
    about,
    readBy,
    tables,
    deliveries: (config.deliver ?? []).filter(({ entity }) => names.has(entity.name)),
    streams: config.connectors.flatMap(({ name, streams }) =>
      streams
        .filter((stream) => stream.tables.some(({ id }) => id === table.id))
        .map((stream) => [name, stream.name] as const),
    ),
    lookups: config.connectors.flatMap(({ name, streams }) =>
      streams.flatMap((stream) => {
        const lookup = 'rest' in stream ? stream.rest.lookup : undefined
        if (lookup === undefined || lookup.table.id !== table.id) return []
        return [{ connector: name, stream: stream.name, column: lookup.column, tables: stream.tables }]
      }),
    ),
  }
}
