/** What a copy does when it cannot simply go on: lost slots, other servers, tables it cannot follow, tables that join. */
import { expect, test } from 'vitest'
import { postgres } from '../../connectors/postgres/index.ts'
import { copyBetween, copyPlaces, dropCopySlot, sameIn } from '../../test/support/copying.ts'
import { BudgetBook } from '../connect/budget.ts'
import { checkConnector } from '../connect/check.ts'
import { sourceContext } from '../connect/context.ts'
import { bigint, defineTable, text } from '../define/index.ts'
import { plant } from '../faults.ts'

const items = defineTable({ name: 'shop.items', key: 'id', columns: { id: bigint().notNull(), name: text() } })
const more = defineTable({ name: 'shop.more', key: 'id', columns: { id: bigint().notNull(), name: text() } })
const SHOP = `create schema shop; create table shop.items (id bigint primary key, name text); create table shop.more (id bigint primary key, name text);
  insert into shop.items select i, 'item ' || i from generate_series(1, 300) i; insert into shop.more select i, 'more ' || i from generate_series(1, 300) i`

type Place = Awaited<ReturnType<typeof copyPlaces>>

const LOSSES: readonly (readonly [string, (place: Place) => Promise<unknown>])[] = [
  ['is gone', ({ source, name }) => dropCopySlot(source.pool, name)],
  [
    'something else read from',
    ({ source, name }) =>
      source.query('select pg_replication_slot_advance($1, pg_current_wal_lsn())', [`copy_${name}`]),
  ],
  ['the publication', ({ source, name }) => source.query(`drop publication copy_${name}`)],
  [
    'promoted or restored',
    ({ target }) => target.query(`update rescore.connector_state set state = jsonb_set(state, '{timeline}', '99')`),
  ],
  [
    'another server',
    async ({ source, target, name }) => {
      // A slot of this name there would be someone else's.
      await dropCopySlot(source.pool, name)
      await target.query(`update rescore.connector_state set state = jsonb_set(state, '{system}', '"1"')`)
    },
  ],
  [
    'its log ends before',
    ({ target }) => target.query(`update rescore.connector_state set state = jsonb_set(state, '{lsn}', '"FFFF/0"')`),
  ],
]

test.each(LOSSES)('after a loss (%s) it says so, copies anew, and rows that went meanwhile go', async (why, lose) => {
  await using place = await copyPlaces('loss')
  const { source, name } = place
  await source.query(SHOP)
  const copy = copyBetween(place, [items], { chunkRows: 70 })
  await copy.pass()
  await source.query('delete from shop.items where id % 3 = 0')
  await lose(place)
  await source.query(
    `update shop.items set name = 'again' where id % 5 = 0; insert into shop.items values (999, 'late')`,
  )
  const careful = copyBetween(place, [items], { whenSlotIsLost: 'stop' })
  await expect(careful.pass()).rejects.toMatchObject({
    kind: 'config',
    code: 'COPY_SLOT_LOST',
    message: expect.stringContaining(why),
  })
  await copy.pass({
    faults: {
      beforeLand: async () => {
        // What comes while it is copied anew is not taken for gone.
        await source.query(`insert into shop.items select -count(*), 'meanwhile' from shop.items`)
      },
    },
  })
  await copy.pass()
  expect(copy.warnings.join('\n')).toContain(why)
  expect(await sameIn(place, 'shop.items')).toBeGreaterThan(200)
  const { rows } = await source.query('select 1 from pg_replication_slots where slot_name = $1', [`copy_${name}`])
  expect(rows).toHaveLength(1)
})

test('the check of copying anew notices when rows that went meanwhile stay', async () => {
  await using place = await copyPlaces('loss_planted')
  await place.source.query(SHOP)
  const copy = copyBetween(place, [items])
  await copy.pass()
  await place.source.query('delete from shop.items where id % 3 = 0')
  await dropCopySlot(place.source.pool, place.name)
  using _bug = plant('copy-deletes-forgotten')
  await copy.pass()
  await expect(sameIn(place, 'shop.items')).rejects.toThrow()
})

test('a table that joins later is copied beside what goes on, and one that is left out goes from the publication', async () => {
  await using place = await copyPlaces('joins')
  const { source, name } = place
  await source.query(SHOP)
  await copyBetween(place, [items]).pass()
  const writer = await source.pool.connect()
  try {
    // Written before the table is published, committed after it is copied: a snapshot that does not wait would lose it.
    await writer.query(`begin; update shop.more set name = 'in flight' where id = 5`)
    const both = copyBetween(place, [items, more], { chunkRows: 50 })
    const passing = both.pass()
    await source.query(`update shop.items set name = 'beside' where id = 7`)
    await expect
      .poll(
        async () =>
          (await source.query(`select 1 from pg_publication_tables where pubname = 'copy_${name}'`)).rows.length,
      )
      .toBe(2)
    await writer.query('commit')
    await passing
  } finally {
    writer.release(true)
  }
  await sameIn(place, 'shop.items')
  expect(await sameIn(place, 'shop.more')).toBe(300)
  await copyBetween(place, [more]).pass()
  const { rows } = await source.query(`select tablename from pg_publication_tables where pubname = 'copy_${name}'`)
  expect(rows).toEqual([{ tablename: 'more' }])
})

test('a slot that this database did not make is left alone, and so is the one of an unfinished start taken up', async () => {
  await using place = await copyPlaces('foreign')
  const { source, target, name } = place
  await source.query(SHOP)
  const copy = copyBetween(place, [items])
  await source.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [`copy_${name}`])
  await expect(copy.pass()).rejects.toMatchObject({ code: 'COPY_SLOT_FOREIGN' })
  await dropCopySlot(source.pool, name)
  await copy.pass()
  // As if killed between the slot and its note.
  await target.query(`update rescore.connector_state set state = jsonb_set(state, '{lsn}', 'null')`)
  await source.query('delete from shop.items where id < 10')
  await copy.pass()
  expect(await sameIn(place, 'shop.items')).toBe(291)
})

test.each([
  ['COPY_TABLE_MISSING', 'drop table shop.items'],
  ['CAPTURE_TABLE_KEY', 'alter table shop.items drop constraint items_pkey'],
  [
    'CAPTURE_TABLE_KIND',
    'alter table shop.items rename to hidden; create view shop.items as select * from shop.hidden',
  ],
  ['COPY_REPLICA_IDENTITY', 'alter table shop.items replica identity nothing'],
])('%s: refused with its mend, by a pass and by the check alike', async (code, sql) => {
  await using place = await copyPlaces('refused')
  await place.source.query(`${SHOP}; ${sql}`)
  const refusal = { code, mend: expect.stringMatching(/./) }
  await expect(copyBetween(place, [items]).pass()).rejects.toMatchObject({ kind: 'config', ...refusal })
  const connector = postgres({ name: 'shop', url: place.source.url, tables: [items] })
  const log = { info: () => undefined, warn: () => undefined }
  const context = sourceContext({ connector, signal: new AbortController().signal, log }, new BudgetBook(), 'check')
  expect(await checkConnector(connector, context)).toContainEqual(expect.objectContaining(refusal))
})

test('a login that is refused stops the connector, and its password is nowhere', async () => {
  await using place = await copyPlaces('login')
  const url = new URL(place.source.url)
  url.password = 'wr0ng-s3cret'
  const copy = copyBetween({ ...place, source: { ...place.source, url: url.href } }, [items])
  const error: unknown = await copy.pass().catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ kind: 'auth', code: 'COPY_LOGIN' })
  expect(JSON.stringify([error, String(error), copy.warnings])).not.toContain('wr0ng-s3cret')
})
