/**
 * Chosen tables of another PostgreSQL, copied and kept true by a replication slot of their own.
 *
 * ```ts
 * postgres({ name: 'shop', url: process.env.SHOP_URL ?? '', tables: [orders, { table: customers, from: 'public.customer' }] })
 * ```
 */
import {
  type Connector,
  type CopiedTable,
  type CopySpec,
  copyTables,
  defineConnector,
  type Table,
} from '../../src/define/index.ts'

export interface PostgresOptions {
  /** Of the connector; names of slot and publication at the source are made of it. */
  readonly name: string
  /** `postgresql://user:password@host:5432/database`: a primary with wal_level = logical, a role with REPLICATION. */
  readonly url: string
  /** A table alone has the same name at the source. */
  readonly tables: readonly (Table | CopiedTable)[]
  /** Default: `rescore_` and the name. Names of slots are shared by the whole server. */
  readonly slot?: string
  /** Default: the slot's. */
  readonly publication?: string
  /** Rows read at once while a table is copied for the first time. Default 5,000. */
  readonly chunkRows?: number
  /**
   * When the slot is gone, was moved by someone else, or the source is another server than before (promoted, restored):
   * everything is copied anew, and rows that are no longer there go. Default; 'stop' waits for someone to decide.
   */
  readonly whenSlotIsLost?: CopySpec['whenSlotIsLost']
}

function secretsOf(url: string): readonly string[] {
  if (!URL.canParse(url)) return [url]
  const { password } = new URL(url)
  return password === '' ? [] : [url, password, decodeURIComponent(password)]
}

export function postgres(options: PostgresOptions): Connector {
  const { name, url, chunkRows = 5_000, whenSlotIsLost = 'copy again' } = options
  if (!/^postgres(ql)?:\/\//.test(url))
    throw new TypeError(`The url of connector '${name}' must start with postgresql://.`)
  const slot = options.slot ?? `rescore_${name.toLowerCase().replace(/[^a-z0-9]+/g, '_')}`
  const tables = options.tables.map((one) => ('from' in one ? one : { table: one, from: one.id }))
  const copy = { url, slot, publication: options.publication ?? slot, tables, chunkRows, whenSlotIsLost }
  return defineConnector({
    name,
    budgets: [],
    secrets: secretsOf(url),
    streams: [copyTables('changes', copy)],
    check: async () => [],
  })
}
