/**
 * One pass of an erasure: everything of the record that is in the database now, gone or made blank.
 *
 * Invariants: in the caller's transaction, so all of it or nothing; what it answers is what it removed, place by place;
 * the source row goes first, so that whoever computes next finds nothing to compute from. Doing it again removes nothing.
 */
import { memoryNames } from '../connect/suppression.ts'
import { ADVISORY_LOCK } from '../db/locks.ts'
import { type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import type { Table } from '../define/index.ts'
import { asidePlaces } from './aside.ts'
import { scrubCauses } from './scrub.ts'
import type { Subject } from './subject.ts'

/** Place to rows removed there; places where there were none are left out. */
export type Removed = Readonly<Record<string, number>>

export async function isThere(database: Queryable, id: string): Promise<boolean> {
  const { rows } = await database.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    quoteTable(id),
  ])
  return rows[0]?.there === true
}

export class Pass {
  readonly database: Queryable
  readonly subject: Subject
  readonly key: string
  readonly removed: Record<string, number> = {}

  constructor(database: Queryable, subject: Subject, key: string) {
    this.database = database
    this.subject = subject
    this.key = key
  }

  async remove(place: string, sql: string, values: readonly unknown[]): Promise<void> {
    const { rowCount } = await this.database.query(sql, [...values])
    this.count(place, rowCount ?? 0)
  }

  count(place: string, rows: number): void {
    if (rows > 0) this.removed[place] = (this.removed[place] ?? 0) + rows
  }
}

async function removeLookups(run: Pass): Promise<void> {
  const { database, subject, key } = run
  const id = quoteTable(subject.table.id)
  const own = quoteIdent(subject.table.key[0] ?? '')
  for (const { connector, stream, column, tables } of subject.lookups) {
    const name = quoteIdent(column)
    // A value that another record has as well is not about this one alone.
    const { rows } = await database.query<{ value: string }>(
      `select t.${name}::text as value from ${id} t where t.${own} = $1::text::${subject.keyType} and t.${name} is not null
         and not exists (select from ${id} o where o.${name} = t.${name} and o.${own} <> t.${own})`,
      [key],
    )
    const values = rows.map(({ value }) => value)
    if (values.length === 0) continue
    await run.remove(
      'rescore.connector_memory',
      'delete from rescore.connector_memory where connector = $1 and stream = $2 and name = any($3)',
      [connector, stream, values],
    )
    for (const table of tables) await removeByText(run, table, values)
  }
}

async function removeByText(run: Pass, table: Table, values: readonly string[]): Promise<void> {
  const [column] = table.key
  if (column === undefined || table.key.length !== 1 || !(await isThere(run.database, table.id))) return
  await run.remove(table.id, `delete from ${quoteTable(table.id)} where ${quoteIdent(column)}::text = any($1)`, [
    values,
  ])
}

async function removeSource(run: Pass): Promise<void> {
  const { database, subject, key } = run
  const { table, keyType, about } = subject
  await removeLookups(run)
  const rows: readonly (readonly [Table, string])[] = [
    [table, table.key[0] ?? ''],
    ...about.map((one): readonly [Table, string] => [one.table, one.column]),
  ]
  for (const [one, column] of rows) {
    if (!(await isThere(database, one.id))) continue
    const sql = `delete from ${quoteTable(one.id)} where ${quoteIdent(column)} = $1::text::${keyType}`
    await run.remove(one.id, sql, [key])
  }
}

async function removeDerived(run: Pass): Promise<void> {
  const { database, subject, key } = run
  for (const { name } of subject.entities) {
    const features = `rescore.features_${name}`
    if (await isThere(database, features)) {
      await run.remove(features, `delete from ${quoteTable(features)} where key::text = $1`, [key])
    }
    const histories = ['feature_history', 'feature_base', 'classification_history', 'classification_base']
    for (const table of [...histories, 'classification', 'quarantine', 'violation', 'timer', 'delivery_due']) {
      await run.remove(`rescore.${table}`, `delete from rescore.${table} where entity = $1 and key = $2`, [name, key])
    }
    await run.remove(
      'rescore.backfill_chunk (key taken out)',
      `update rescore.backfill_chunk c set keys = array_remove(c.keys, $2) from rescore.backfill b
       where b.id = c.backfill and b.entity = $1 and $2 = any(c.keys)`,
      [name, key],
    )
    await run.remove('rescore.computed', `delete from rescore.computed where program like $1 and key = $2`, [
      `${name.replaceAll('_', '\\_')} %`,
      key,
    ])
  }
  for (const delivery of subject.deliveries) {
    await run.remove('rescore.delivery', 'delete from rescore.delivery where destination = $1 and key = $2', [
      delivery.name,
      key,
    ])
    if (delivery.kind === 'table' && (await isThere(database, delivery.table))) {
      const sql = `delete from ${quoteTable(delivery.table)} where ${quoteIdent(delivery.key)}::text = $1`
      await run.remove(delivery.table, sql, [key])
    }
  }
}

async function removeFromConnectors(run: Pass): Promise<void> {
  const { subject, key } = run
  const { id } = subject.table
  await run.remove('rescore.alias', 'delete from rescore.alias where source_table = $1 and $2 in (old_key, new_key)', [
    id,
    key,
  ])
  await run.remove(
    'rescore.listed',
    'delete from rescore.listed where source_table = $1 and jsonb_array_length(key) = 1 and key->>0 = $2',
    [id, key],
  )
  for (const [connector, stream] of subject.streams) {
    await run.remove(
      'rescore.wake_up',
      'delete from rescore.wake_up where connector = $1 and stream = $2 and key = $3',
      [connector, stream, key],
    )
    await run.remove(
      'rescore.connector_memory',
      'delete from rescore.connector_memory where connector = $1 and stream = $2 and name = any($3)',
      [connector, stream, memoryNames(key)],
    )
  }
}

/** @param database a connection inside a transaction */
export async function erasePass(database: Queryable, subject: Subject, key: string): Promise<Removed> {
  const run = new Pass(database, subject, key)
  await database.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.foldHistory])
  await removeSource(run)
  await removeDerived(run)
  await removeFromConnectors(run)
  await asidePlaces(run)
  await scrubCauses(run)
  return run.removed
}
