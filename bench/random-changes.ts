/**
 * Changes as a busy CRM makes them: transactions of 10 rows over random companies, contacts and deals.
 * Invariant: every row of a transaction exists and is changed, so the rows committed are known without counting.
 */
import { type Pool, withTransaction } from '../src/db/pool.ts'
import type { CrmSizes } from './crm-data.ts'

export const ROWS_PER_TRANSACTION = 10

const COMPANIES = {
  name: 'bench-companies',
  text: `update public.companies set is_hiring = not is_hiring, team_size = coalesce(team_size, 0) + 1
         where id = any($1::bigint[])`,
}
const CONTACTS = {
  name: 'bench-contacts',
  text: `update public.contacts set seniority = 1 + seniority % 5, last_activity_at = last_activity_at + interval '1 hour'
         where id = any($1::bigint[])`,
}
const DEALS = {
  name: 'bench-deals',
  text: `update public.deals set amount = amount + 1, stage = case stage when 'open' then 'won' else 'open' end
         where id = any($1::bigint[])`,
}
const PARTS = [
  { statement: COMPANIES, rows: 4, table: 'companies' },
  { statement: CONTACTS, rows: 3, table: 'contacts' },
  { statement: DEALS, rows: 3, table: 'deals' },
] as const

/** Distinct ids in ascending order, so that writers cannot deadlock. */
function draw(count: number, from: number): readonly number[] {
  const ids = new Set<number>()
  while (ids.size < Math.min(count, from)) ids.add(1 + Math.floor(Math.random() * from))
  return [...ids].sort((a, b) => a - b)
}

/** Commits `transactions` of 10 rows each as fast as `writers` connections can. Returns the rows changed. */
export async function changeAtRandom(
  pool: Pool,
  sizes: CrmSizes,
  options: { readonly transactions: number; readonly writers: number; readonly signal: AbortSignal },
): Promise<number> {
  let left = options.transactions
  let changed = 0
  const write = async () => {
    while (left > 0) {
      options.signal.throwIfAborted()
      left -= 1
      await withTransaction(pool, {}, async (client) => {
        for (const { statement, rows, table } of PARTS) {
          const { rowCount } = await client.query({ ...statement, values: [draw(rows, sizes[table])] })
          changed += rowCount ?? 0
        }
      })
    }
  }
  await Promise.all(Array.from({ length: options.writers }, write))
  return changed
}
