/**
 * What a stream keeps beside its rows: aliases of merged records, small facts, the keys of a listing, the source's fields.
 * Invariant: written in the transaction of the records and the checkpoint it belongs to, so nothing is remembered of
 * records that never landed; what a listing has not named is deleted only by a listing that is whole.
 */
import { type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import type { DueOptions, Message, SourceRow, Table } from '../define/index.ts'
import type { StreamIdentity } from './landing.ts'
import { document, keyText, recordset } from './landing-sql.ts'
import { assertMayRemove } from './removal.ts'
import { countStored } from './stored.ts'

type Of<O extends Message<unknown>['op']> = Extract<Message<unknown>, { op: O }>

export async function saveAlias(client: Queryable, table: Table, from: string, into: string): Promise<void> {
  await client.query(
    `insert into rescore.alias (source_table, old_key, new_key) values ($1, $2, $3)
     on conflict (source_table, old_key) do update set new_key = excluded.new_key
     where alias.new_key <> excluded.new_key`,
    [table.id, from, into],
  )
}

/** The last of each name wins. */
export async function saveMemory(
  client: Queryable,
  { connector, stream }: Pick<StreamIdentity, 'connector' | 'stream'>,
  messages: readonly Of<'remember'>[],
): Promise<void> {
  const last = [...new Map(messages.map((message) => [message.name, message])).values()]
  const facts = JSON.stringify(last.map(({ name, value, dueMs }) => ({ name, value, due_ms: dueMs ?? null })))
  await client.query(
    `with fact as (select * from json_to_recordset($3::json) as f(name text, value text, due_ms numeric)),
       gone as (delete from rescore.connector_memory m using fact f
         where m.connector = $1 and m.stream = $2 and m.name = f.name and f.value is null)
     insert into rescore.connector_memory as m (connector, stream, name, value, due_at)
     select $1, $2, name, value, to_timestamp(due_ms / 1000) from fact where value is not null
     on conflict (connector, stream, name) do update set value = excluded.value, due_at = excluded.due_at
       where (m.value, m.due_at) is distinct from (excluded.value, excluded.due_at)`,
    [connector, stream, facts],
  )
}

export async function recall(
  database: Queryable,
  connector: string,
  stream: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await database.query<{ name: string; value: string }>(
    'select name, value from rescore.connector_memory where connector = $1 and stream = $2 and name = any($3)',
    [connector, stream, names],
  )
  return new Map(rows.map(({ name, value }) => [name, value]))
}

/** Values never remembered come first. */
export async function dueValues(
  database: Queryable,
  connector: string,
  stream: string,
  nowMs: number,
  { table, column, limit }: DueOptions,
): Promise<readonly string[]> {
  const { rows } = await database.query<{ value: string }>(
    `select v.value from (
       select distinct ${quoteIdent(column)}::text as value from ${quoteTable(table.id)} where ${quoteIdent(column)} is not null) v
     left join rescore.connector_memory m on m.connector = $1 and m.stream = $2 and m.name = v.value
     where m.name is null or m.due_at <= to_timestamp($3::numeric / 1000)
     order by m.due_at nulls first, v.value limit $4`,
    [connector, stream, nowMs, limit],
  )
  return rows.map(({ value }) => value)
}

const keyDocument = (table: Table, alias: string) =>
  `jsonb_build_array(${table.key.map((column) => `${alias}.${quoteIdent(column)}`).join(', ')})`

export async function saveListed(client: Queryable, { table, listing, keys, instead }: Of<'listed'>): Promise<void> {
  if (instead !== undefined) {
    await client.query('delete from rescore.listed where source_table = $1 and listing = $2', [table.id, instead])
  }
  await client.query(
    `insert into rescore.listed (source_table, listing, key)
     select $2, $3, ${keyDocument(table, 'r')} from ${recordset(table, table.key, 1, 'r')} on conflict do nothing`,
    [document(table, keys), table.id, listing],
  )
}

/** @returns rows deleted. @throws RescoreError CONNECT_MASS_REMOVAL */
export async function deleteUnlisted(
  client: Queryable,
  { table, listing, keepsOthers = false, mayRemove }: Of<'unlisted'>,
): Promise<number> {
  const gone = await client.query(
    `delete from ${quoteTable(table.id)} t where not exists (
       select from rescore.listed l where l.source_table = $1 and l.listing = $2 and l.key = ${keyDocument(table, 't')})`,
    [table.id, listing],
  )
  const removed = gone.rowCount ?? 0
  if (removed > 0) assertMayRemove(table, removed, await countStored(client, table), mayRemove)
  await client.query('delete from rescore.listed where source_table = $1 and (listing = $2 or not $3)', [
    table.id,
    listing,
    keepsOthers,
  ])
  return removed
}

/** Nothing that was set aside of a record erased for privacy stays. */
export async function forgetRecords(client: Queryable, table: Table, keys: readonly SourceRow[]): Promise<void> {
  if (keys.length === 0) return
  const texts = keys.map((key) => keyText(table, key))
  await client.query('delete from rescore.reject where source_table = $1 and key = any($2)', [table.id, texts])
  await client.query('delete from rescore.alias where source_table = $1 and (old_key = any($2) or new_key = any($2))', [
    table.id,
    texts,
  ])
}

export async function saveFields(
  client: Queryable,
  { connector }: Pick<StreamIdentity, 'connector'>,
  { table, fields }: Of<'schema'>,
): Promise<void> {
  const given = JSON.stringify([...new Map(fields.map((field) => [field.name, field])).values()])
  await client.query(
    `insert into rescore.source_field as s (connector, source_table, field, type)
     select $1, $2, f.name, f.type from json_to_recordset($3::json) as f(name text, type text)
     on conflict (connector, source_table, field) do update set type = excluded.type, gone_at = null,
       former_type = case when s.type = excluded.type then s.former_type else s.type end,
       changed_at = case when s.type = excluded.type then s.changed_at else clock_timestamp() end
       where s.type <> excluded.type or s.gone_at is not null`,
    [connector, table.id, given],
  )
  await client.query(
    `update rescore.source_field set gone_at = clock_timestamp()
     where connector = $1 and source_table = $2 and gone_at is null and field <> all($3)`,
    [connector, table.id, fields.map(({ name }) => name)],
  )
}
