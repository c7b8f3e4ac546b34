/** The tables that the crash tests of copies work on, and random transactions over them. */
import { postgres } from '../../connectors/postgres/index.ts'
import type { Pool } from '../../src/db/pool.ts'
import { bigint, type Connector, decimal, defineTable, integer, text, timestamp } from '../../src/define/index.ts'
import type { Random } from '../simulator/rng.ts'

export interface CopyOrder {
  readonly source: string
  readonly target: string
}

const accounts = defineTable({
  name: 'bank.account',
  key: 'id',
  columns: { id: bigint().notNull(), owner: text(), balance: decimal(), about: text(), opened: timestamp() },
})
const moves = defineTable({
  name: 'bank.move',
  key: ['account', 'nr'],
  columns: { account: bigint().notNull(), nr: integer().notNull(), amount: decimal() },
})
const tags = defineTable({ name: 'bank.tag', key: 'name', columns: { name: text().notNull(), n: integer() } })

export function copied({ source }: CopyOrder): Connector {
  // Lost slots are no excuse here: nothing but the copy itself touches them.
  return postgres({ name: 'bank', url: source, tables: [accounts, moves, tags], chunkRows: 60, whenSlotIsLost: 'stop' })
}

export const COPIED = ['bank.account', 'bank.move', 'bank.tag'] as const

export async function createBank(pool: Pool): Promise<void> {
  await pool.query(`create schema bank;
    create table bank.account (id bigint primary key, owner text, balance numeric, about text, opened timestamptz);
    alter table bank.account alter about set storage external;
    create table bank.move (account bigint, nr integer, amount numeric, primary key (account, nr));
    alter table bank.move replica identity full;
    create table bank.tag (name text primary key, n integer);
    insert into bank.account select i, 'owner ' || i, 100, repeat('about ' || i, 500), now() from generate_series(1, 600) i;
    insert into bank.move select i % 600, i, i * 0.01 from generate_series(1, 900) i;
    insert into bank.tag select 'tag ' || i, i from generate_series(1, 200) i`)
}

/** One random transaction; some are large, some roll back. */
export async function transact(pool: Pool, random: Random): Promise<void> {
  const below = (limit: number) => random.whole(0, limit - 1)
  const statements = Array.from({ length: 1 + below(4) }, () => {
    const [id, other] = [below(700), below(700)]
    return [
      `insert into bank.account values (${id}, 'new', ${other}, repeat('n', 4000), now()) on conflict (id) do nothing`,
      `update bank.account set balance = balance + ${other} where id between ${id} and ${id + 5}`,
      `update bank.account set about = repeat('${other} ', 900) where id = ${id}`,
      `delete from bank.account where id = ${id}`,
      `update bank.account set id = ${1000 + below(100_000)} where id = ${id} and not exists (select from bank.account where id >= 1000 and id = ${id})`,
      `insert into bank.move values (${id}, ${other}, 1) on conflict do nothing`,
      `update bank.move set amount = amount + 1 where account = ${id}`,
      `delete from bank.move where account = ${id}`,
      `update bank.tag set n = n + 1 where n % 17 = ${below(17)}`,
      `insert into bank.tag values ('tag ${other}', ${other}) on conflict do nothing`,
      `delete from bank.tag where name = 'tag ${id}'`,
      random.chance(0.02) ? 'truncate bank.tag' : 'select 1',
    ][below(12)]
  })
  const end = random.chance(0.1) ? 'rollback' : 'commit'
  // Two rows may want one new key: then nothing of it happened.
  await pool.query(`begin; ${statements.join('; ')}; ${end}`).catch(async (error: Error & { code?: string }) => {
    if (error.code !== '23505' && error.code !== '40P01') throw error
  })
}
