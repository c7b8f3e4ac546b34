/**
 * From entities to the rows at the end of a path, hop by hop.
 * Invariant: a row that an entity reaches twice counts once. Memory holds what the entities of one piece reach.
 */
import type { Client } from '../../db/pool.ts'
import { columnOf, type Hop, type Table } from '../../define/index.ts'
import { satisfies } from './filter.ts'
import { rowsWhere } from './rows.ts'
import { identity, type Row, rowKey } from './values.ts'

/** Entity key to the rows it reaches. */
export type Reached = ReadonlyMap<string, readonly Row[]>

const cellKey = (table: Table, column: string, row: Row) => identity(columnOf(table, column).kind, row[column])

/** Rows one hop away, by the key of the row before. */
async function hopFrom(client: Client, hop: Hop, parents: ReadonlySet<string>): Promise<Map<string, Row[]>> {
  if (hop.kind === 'foreign-key') {
    const children = await rowsWhere(client, hop.table, hop.column, parents)
    return Map.groupBy(children, (row) => cellKey(hop.table, hop.column, row))
  }
  const { table, through, from, to, throughWhere } = hop
  const links = (await rowsWhere(client, through, from, parents)).filter(
    (link) => link[to] !== null && satisfies(through, throughWhere, link),
  )
  const [key = ''] = table.key
  const wanted = new Set(links.map((link) => cellKey(through, to, link)))
  const targets = new Map((await rowsWhere(client, table, key, wanted)).map((row) => [rowKey(table, row), row]))
  const found = new Map<string, Row[]>()
  for (const link of links) {
    const target = targets.get(cellKey(through, to, link))
    if (target === undefined) continue
    const parent = cellKey(through, from, link)
    const siblings = found.get(parent)
    if (siblings === undefined) found.set(parent, [target])
    else siblings.push(target)
  }
  return found
}

/** The same text for the same path. */
function pathName(path: readonly Hop[]): string {
  const plain = path.map((hop) =>
    hop.kind === 'foreign-key'
      ? [hop.table.id, hop.column]
      : [hop.table.id, hop.through.id, hop.from, hop.to, hop.throughWhere],
  )
  return JSON.stringify(plain, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))
}

/** Walks paths for one piece of entities; a path walked before is not walked again. */
export class Walker {
  readonly #client: Client
  readonly #keys: readonly string[]
  readonly #walked = new Map<string, Reached>()

  constructor(client: Client, keys: readonly string[]) {
    this.#client = client
    this.#keys = keys
  }

  async walk(path: readonly Hop[]): Promise<Reached> {
    const name = pathName(path)
    const known = this.#walked.get(name)
    if (known !== undefined) return known
    const reached = await this.#walk(path)
    this.#walked.set(name, reached)
    return reached
  }

  async #walk(path: readonly Hop[]): Promise<Reached> {
    const hop = path.at(-1)
    if (hop === undefined) throw new TypeError('A path needs one hop or more.')
    const before = path.at(-2)
    const previous = before === undefined ? null : await this.walk(path.slice(0, -1))
    const parentsOf = (key: string) =>
      before === undefined || previous === null
        ? [key]
        : (previous.get(key) ?? []).map((row) => rowKey(before.table, row))
    const parents = new Set(this.#keys.flatMap(parentsOf))
    const next = await hopFrom(this.#client, hop, parents)
    return new Map(
      this.#keys.map((key) => {
        const rows = parentsOf(key).flatMap((parent) => next.get(parent) ?? [])
        return [key, [...new Map(rows.map((row) => [rowKey(hop.table, row), row])).values()]]
      }),
    )
  }
}
