/**
 * Classifications to a table of the user's in the same database: one row per entity, only rows that differ.
 *
 * Invariants: names are those of the catalog, and quoted; a row PostgreSQL refuses is found by halving, its neighbours
 * are written; other columns of the row are left alone. A crash before the ledger knows repeats an upsert that then
 * finds nothing to write.
 */
import { isRetriableDbError, type Pool, type Queryable, quoteIdent, quoteTable, withTransaction } from '../db/pool.ts'
import type { DeliveryOutcome, DeliveryRecord, TableDelivery } from '../define/index.ts'
import { asError, RescoreError } from '../errors.ts'
import type { Destination } from './destination.ts'

const BATCH = 500

function unusable(delivery: TableDelivery, why: string, mend: string): RescoreError {
  return new RescoreError({
    code: 'DELIVER_TABLE',
    fate: 'stop',
    message: `Table ${delivery.table} of delivery '${delivery.name}' ${why}.`,
    mend,
  })
}

/** Column to type, as the catalog writes it. @throws RescoreError DELIVER_TABLE */
async function columnTypes(pool: Pool, delivery: TableDelivery): Promise<ReadonlyMap<string, string>> {
  const { table, key, fields } = delivery
  const { rows } = await pool.query<{ name: string; type: string; is_unique: boolean }>(
    `select a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
       exists (select from pg_index i where i.indrelid = a.attrelid and i.indisunique and i.indpred is null
               and i.indnkeyatts = 1 and i.indkey[0] = a.attnum) as is_unique
     from pg_attribute a where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`,
    [quoteTable(table)],
  )
  const columns = new Map(rows.map(({ name, type }) => [name, type]))
  const missing = [key, ...Object.keys(fields)].find((name) => !columns.has(name))
  if (missing !== undefined) {
    throw unusable(delivery, `has no column '${missing}', or is not there`, `Add it: alter table ${table} add column …`)
  }
  if (rows.find(({ name }) => name === key)?.is_unique !== true) {
    throw unusable(delivery, `has no unique index on '${key}'`, `create unique index on ${table} (${quoteIdent(key)});`)
  }
  return columns
}

async function upsert(
  client: Queryable,
  delivery: TableDelivery,
  types: ReadonlyMap<string, string>,
  records: readonly DeliveryRecord[],
): Promise<void> {
  const { table, key } = delivery
  const target = quoteTable(table)
  const gone = records.filter(({ isGone }) => isGone).map((record) => record.key)
  const keyType = types.get(key) ?? 'text'
  if (gone.length > 0) {
    await client.query(
      `delete from ${target} where ${quoteIdent(key)} in (select k::${keyType} from unnest($1::text[]) k)`,
      [gone],
    )
  }
  // Rows that lack a value (a model that has not scored yet) keep what stands there.
  const shapes = Map.groupBy(
    records.filter(({ isGone }) => !isGone),
    ({ values }) => Object.keys(values).sort().join('\n'),
  )
  for (const rows of shapes.values()) {
    const names = Object.keys(rows[0]?.values ?? {})
    const list = names.map(quoteIdent)
    const given = names.map((name, at) => `(v.${quoteIdent(`v${at}`)})::${types.get(name)}`)
    const arrays = names.map((_, at) => `$${at + 2}::text[]`)
    await client.query(
      `insert into ${target} as t (${[quoteIdent(key), ...list].join(', ')})
       select v.k::${keyType}, ${given.join(', ')}
       from unnest($1::text[], ${arrays.join(', ')}) as v (k, ${names.map((_, at) => `v${at}`).join(', ')}) order by 1
       on conflict (${quoteIdent(key)}) do update set ${list.map((name) => `${name} = excluded.${name}`).join(', ')}
       where (${list.map((name) => `t.${name}`).join(', ')}) is distinct from (${list.map((name) => `excluded.${name}`).join(', ')})`,
      [rows.map((record) => record.key), ...names.map((name) => rows.map(({ values }) => String(values[name] ?? '')))],
    )
  }
}

export function tableDestination(delivery: TableDelivery, pool: Pool): Destination {
  let types: ReadonlyMap<string, string> = new Map()

  async function write(records: readonly DeliveryRecord[]): Promise<readonly DeliveryOutcome[]> {
    try {
      await withTransaction(pool, {}, (client) => upsert(client, delivery, types, records))
      return records.map(({ key }) => ({ key, status: 'written' }))
    } catch (thrown) {
      if (isRetriableDbError(thrown)) throw thrown
      const error = asError(thrown)
      const [only] = records
      if (only === undefined) return []
      if (records.length === 1) {
        return [{ key: only.key, status: 'refused', code: 'DELIVER_RECORD_REFUSED', reason: error.message }]
      }
      const half = Math.ceil(records.length / 2)
      return [...(await write(records.slice(0, half))), ...(await write(records.slice(half)))]
    }
  }

  return {
    batchSize: BATCH,
    hearsOfGone: true,
    prepare: async () => {
      types = await columnTypes(pool, delivery)
    },
    write,
  }
}
