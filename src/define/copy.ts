/**
 * A stream that copies tables of another PostgreSQL, declared instead of written. src/copy runs it: all tables as one
 * stream, through one replication slot of their own, so that what was committed together arrives together.
 */
import type { Priority } from './stream.ts'
import { columnOf, type Table } from './table.ts'

export interface CopiedTable {
  /** The copy. Columns have the names they have at the source; those that are not declared are not copied. */
  readonly table: Table
  /** `schema.name` at the source. */
  readonly from: string
}

export interface CopySpec {
  /** Of the source: `postgresql://user:password@host:5432/database`. */
  readonly url: string
  /** Names made at the source. */
  readonly slot: string
  readonly publication: string
  readonly tables: readonly CopiedTable[]
  /** Rows read at once while a table is copied for the first time; fewer where they are large. */
  readonly chunkRows: number
  /** What to do when the slot is gone, or the source is another server than before: copy everything anew, or stop. */
  readonly whenSlotIsLost: 'copy again' | 'stop'
}

export interface CopyStream {
  readonly name: string
  readonly tables: readonly Table[]
  readonly everyMs: number
  readonly priority?: Priority | undefined
  readonly copy: CopySpec
}

const SLOT = /^[a-z0-9_]{1,63}$/

/** @throws TypeError for a name PostgreSQL would not take, or two copies of or into one table */
export function copyTables(name: string, copy: CopySpec): CopyStream {
  for (const made of [copy.slot, copy.publication]) {
    if (!SLOT.test(made)) throw new TypeError(`'${made}' must be 1 to 63 of a-z, 0-9 and _.`)
  }
  if (copy.tables.length === 0) throw new TypeError(`Stream '${name}' names no table to copy.`)
  if (!(Number.isInteger(copy.chunkRows) && copy.chunkRows >= 1 && copy.chunkRows <= 5_000)) {
    throw new TypeError('chunkRows must be 1 to 5,000.')
  }
  for (const names of [copy.tables.map(({ from }) => from), copy.tables.map(({ table }) => table.id)]) {
    const twice = names.find((one, at) => names.indexOf(one) !== at)
    if (twice !== undefined) throw new TypeError(`Table '${twice}' is copied twice.`)
  }
  for (const { table, from } of copy.tables) {
    if (!from.includes('.')) throw new TypeError(`Table '${from}' must be 'schema.table'.`)
    for (const column of table.key) {
      if (columnOf(table, column).kind === 'json') throw new TypeError(`The key of '${table.id}' cannot be json.`)
    }
  }
  return { name, tables: copy.tables.map(({ table }) => table), everyMs: 1_000, priority: 'incremental', copy }
}
