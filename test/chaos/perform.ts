/**
 * Performs actions on the tables of the test project.
 * Invariant: no step can fail by what is in the tables; what fails by other transactions (a deadlock, a unique key taken
 * meanwhile) rolls its transaction back, which is one more thing that happens.
 */
import type { Client, Pool, Queryable } from '../../src/db/pool.ts'
import { contactKey, FILLED } from '../support/project-sql.ts'
import type { Action, Bulk, Step, TableName, Transaction } from './actions.ts'

function keyText(table: TableName, key: number): string {
  if (table === 'contact') return contactKey(key)
  return table === 'note' ? `n${key}` : String(key)
}

const BULK_ROWS = 2_000
const BULK_FIRST = 10_000
const BULK_KEYS = `id >= ${BULK_FIRST} and id < ${BULK_FIRST + BULK_ROWS}`

function bulkSql(bulk: Bulk, by: number): string {
  const someContact = `(select array_agg(id order by id) from app.contact)`
  switch (bulk) {
    case 'insert events':
      return `insert into app.event select i, c.ids[i % cardinality(c.ids) + 1], (array['visit', 'mail'])[i % 2 + 1], i * 0.1 * ${by},
          timestamptz '2026-01-10' + i * interval '10 min'
        from generate_series(${BULK_FIRST}, ${BULK_FIRST + BULK_ROWS - 1}) i, ${someContact} c(ids) on conflict do nothing`
    case 'move events':
      return `update app.event e set contact_id = c.ids[(e.id * ${by}) % cardinality(c.ids) + 1]
        from ${someContact} c(ids) where ${BULK_KEYS}`
    case 'delete events':
      return `delete from app.event where ${BULK_KEYS} and id % ${by} = 0`
    case 'touch contacts':
      return `update app.contact set score = (coalesce(score, 0) + ${by}) % 11`
    case 'move contacts':
      return `update app.contact set company_id = (coalesce(company_id, 0) + ${by}) % ${FILLED.company} + 1`
    case 'stage deals':
      return `update app.deal set stage = (array['won', 'lost', 'open'])[(id + ${by}) % 3 + 1]`
  }
}

function statement(step: Exclude<Step, { op: 'undone' }>): { text: string; values?: (string | null)[] } {
  switch (step.op) {
    case 'insert': {
      const columns = Object.keys(step.values)
      const places = columns.map((_, index) => `$${index + 2}`)
      return {
        text: `insert into app.${step.table} (id, ${columns.join(', ')}) values ($1, ${places.join(', ')}) on conflict do nothing`,
        values: [keyText(step.table, step.key), ...Object.values(step.values)],
      }
    }
    case 'update': {
      const set = Object.keys(step.values).map((column, index) => `${column} = $${index + 2}`)
      return {
        text: `update app.${step.table} set ${set.join(', ')} where id = $1`,
        values: [keyText(step.table, step.key), ...Object.values(step.values)],
      }
    }
    case 'same':
      return { text: `update app.${step.table} set id = id where id = $1`, values: [keyText(step.table, step.key)] }
    case 'delete':
      return { text: `delete from app.${step.table} where id = $1`, values: [keyText(step.table, step.key)] }
    case 'rekey':
      return {
        text: `update app.${step.table} set id = $2 where id = $1 and not exists (select from app.${step.table} where id = $2)`,
        values: [keyText(step.table, step.key), keyText(step.table, step.to)],
      }
    case 'link':
      return {
        text: 'insert into app.company_deal values ($1, $2, $3) on conflict do nothing',
        values: [String(step.company), String(step.deal), step.label],
      }
    case 'unlink':
      return {
        text: 'delete from app.company_deal where company_id = $1 and deal_id = $2 and label = $3',
        values: [String(step.company), String(step.deal), step.label],
      }
    case 'relink':
      return {
        text: `update app.company_deal l set company_id = $3 where company_id = $1 and deal_id = $2
          and not exists (select from app.company_deal o where o.company_id = $3 and o.deal_id = $2 and o.label = l.label)`,
        values: [String(step.company), String(step.deal), String(step.to)],
      }
    case 'relabel':
      return {
        text: `update app.company_deal l set label = $3 where company_id = $1 and deal_id = $2
          and not exists (select from app.company_deal o where o.company_id = $1 and o.deal_id = $2 and o.label = $3)`,
        values: [String(step.company), String(step.deal), step.label],
      }
    case 'truncate':
      return { text: `truncate app.${step.table}` }
    case 'bulk':
      return { text: bulkSql(step.bulk, step.by) }
  }
}

async function performStep(client: Queryable, step: Step): Promise<void> {
  if (step.op !== 'undone') {
    const { text, values } = statement(step)
    await client.query(text, values)
    return
  }
  await client.query('savepoint undone')
  for (const inner of step.steps) await performStep(client, inner)
  await client.query('rollback to savepoint undone')
}

/** unique_violation, serialization_failure, deadlock_detected, lock_not_available */
const BY_OTHERS = new Set(['23505', '40001', '40P01', '55P03'])

function isByOthers(error: unknown): boolean {
  return error instanceof Error && 'code' in error && BY_OTHERS.has(String(error.code))
}

async function performTransactions(client: Client, transactions: readonly Transaction[]): Promise<void> {
  for (const { steps, end } of transactions) {
    await client.query('begin')
    try {
      for (const step of steps) await performStep(client, step)
      await client.query(end)
    } catch (error) {
      if (!isByOthers(error)) throw error
      await client.query('rollback')
    }
  }
}

/** Lanes keep them apart from each other, but not from another worker, which may wait for one of them in turn. */
const LOCK_TIMEOUT = '500ms'

async function performOverlapping(pool: Pool, transactions: readonly Transaction[]): Promise<void> {
  const open: { client: Client; end: Transaction['end'] }[] = []
  let failure: unknown
  try {
    for (const { steps, end } of transactions) {
      const client = await pool.connect()
      open.push({ client, end })
      await client.query(`begin; set local lock_timeout = '${LOCK_TIMEOUT}'`)
      for (const step of steps) await performStep(client, step)
    }
    for (const { client, end } of open.toReversed()) await client.query(end)
  } catch (error) {
    failure = error
    if (!isByOthers(error)) throw error
  } finally {
    // Given up rather than mended: some are in the middle of a transaction, which ends with them.
    for (const { client } of open) client.release(failure !== undefined)
  }
}

/** @param calm what a calm moment waits for */
export async function perform(pool: Pool, action: Action, calm: () => Promise<void>): Promise<void> {
  if (action.kind === 'calm') return calm()
  if (action.kind === 'overlapping') return performOverlapping(pool, action.transactions)
  const client = await pool.connect()
  let failure: unknown
  try {
    await performTransactions(client, action.transactions)
  } catch (error) {
    failure = error
    throw error
  } finally {
    client.release(failure !== undefined)
  }
}
