import { describe, expect, it } from 'vitest'
import { createTestDatabase } from '../../test/support/pg.ts'
import { withTransaction } from '../db/pool.ts'
import { bigint, defineTable, integer, json, number, text, timestamp } from '../define/index.ts'
import { type Landable, land } from './landing.ts'
import { ensureSourceTables } from './source-tables.ts'

const companies = defineTable({
  name: 'crm.companies',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), size: number(), modified: timestamp(), raw: json() },
})
const edges = defineTable({
  name: 'crm.edges',
  key: ['company_id', 'contact_id', 'type_id'],
  columns: {
    company_id: bigint().notNull(),
    contact_id: bigint().notNull(),
    type_id: integer().notNull(),
    label: text(),
  },
})
const identity = { connector: 'crm', stream: 'companies', stateVersion: 1 }
const checkpoint = { op: 'checkpoint', state: { at: 1 } } as const

async function database() {
  const db = await createTestDatabase('landing')
  await withTransaction(db.pool, {}, (client) => ensureSourceTables(client, [companies, edges]))
  const versions = async () =>
    (await db.query('select id, name, size, xmin::text, ctid::text from crm.companies order by id')).rows
  return Object.assign(db, {
    versions,
    land: (messages: readonly Landable[]) => land(db.pool, identity, messages, checkpoint),
  })
}

const upsert = (id: bigint, row: object, extra: object = {}): Landable => ({
  op: 'upsert',
  table: companies,
  row: { id, ...row },
  ...extra,
})

describe('land', () => {
  it('writes only rows that differ, and leaves absent columns as they are', async () => {
    await using db = await database()
    await db.land([
      upsert(1n, { name: 'One', size: '9007199254740993', raw: { a: 'x' } }),
      upsert(2n, { name: 'Two', size: null, raw: null }),
    ])
    const before = await db.versions()
    expect(before[0]).toMatchObject({ id: 1n, size: '9007199254740993' })
    const again = await db.land([upsert(1n, { name: 'One' }), upsert(2n, { name: 'Two!' })])
    expect(again.written).toBe(1)
    const after = await db.versions()
    expect(after[0]).toStrictEqual(before[0])
    expect(after[1]).toMatchObject({ id: 2n, name: 'Two!' })
  })

  it('sets the refused record aside and lands its neighbours', async () => {
    await using db = await database()
    const messages = Array.from({ length: 9 }, (_, index) =>
      upsert(BigInt(index), { name: index === 4 ? 'a\0b' : 'fine' }),
    )
    const landed = await db.land(messages)
    expect(landed).toStrictEqual({ written: 8, rejected: 1 })
    const { rows } = await db.query('select key, code, reason from rescore.reject')
    expect(rows).toMatchObject([{ key: '4', code: 'DB_22P05' }])
  })

  it('lands the checkpoint with the rows or not at all', async () => {
    await using db = await database()
    await db.query('drop table rescore.connector_state')
    await expect(db.land([upsert(1n, { name: 'One' })])).rejects.toThrow(/connector_state/)
    expect(await db.versions()).toStrictEqual([])
  })

  it('replaces the rows of a scope, deletes, merges and sweeps', async () => {
    await using db = await database()
    const edge = (contact: bigint, label: string) => ({ company_id: 1n, contact_id: contact, type_id: 1, label })
    const replace = (rows: readonly ReturnType<typeof edge>[]): Landable => ({
      op: 'replace',
      table: edges,
      scope: { company_id: 1n },
      rows,
    })
    await db.land([replace([edge(1n, 'a'), edge(2n, 'b')])])
    expect((await db.land([replace([edge(2n, 'b'), edge(3n, 'c')])])).written).toBe(2)
    expect(
      (await db.query('select contact_id from crm.edges order by 1')).rows.map((row) => row.contact_id),
    ).toStrictEqual([2n, 3n])
    expect((await db.land([replace([])])).written).toBe(2)

    await db.land([1n, 2n, 3n, 4n, 5n].map((id) => upsert(id, { name: 'x' })))
    await db.land([
      { op: 'delete', table: companies, key: { id: 1n }, reason: 'archived' },
      { op: 'merge', table: companies, from: { id: 2n }, into: { id: 5n } },
      { op: 'sweep', table: companies, after: 2n, upTo: 4n, present: [4n] },
    ])
    expect((await db.versions()).map((row) => row.id)).toStrictEqual([4n, 5n])
    expect((await db.query('select source_table, old_key, new_key from rescore.alias')).rows).toStrictEqual([
      { source_table: 'crm.companies', old_key: '2', new_key: '5' },
    ])
  })

  it('does not overwrite a newer row', async () => {
    await using db = await database()
    await db.land([upsert(1n, { name: 'new', modified: 2_000 })])
    await db.land([upsert(1n, { name: 'old', modified: 1_000 }, { newerBy: 'modified' })])
    expect((await db.versions())[0]).toMatchObject({ name: 'new' })
    await db.land([upsert(1n, { name: 'newest', modified: 2_000 }, { newerBy: 'modified' })])
    expect((await db.versions())[0]).toMatchObject({ name: 'newest' })
  })
})

describe('ensureSourceTables', () => {
  it('indexes the columns relations go through, and leaves tables alone that another connector has yet to make', async () => {
    await using db = await database()
    const later = defineTable({
      name: 'later.things',
      key: 'id',
      columns: { id: bigint().notNull(), owner: bigint(), name: text() },
    })
    const foreignKeys = [
      { table: later, column: 'owner' },
      { table: companies, column: 'name' },
    ]
    const indexed = async () =>
      (
        await db.query(
          "select indexname from pg_indexes where indexname like '%_idx' and schemaname in ('crm', 'later')",
        )
      ).rows
    await withTransaction(db.pool, {}, (client) => ensureSourceTables(client, [companies], foreignKeys))
    expect(await indexed()).toEqual([{ indexname: 'companies_name_idx' }])
    await withTransaction(db.pool, {}, (client) => ensureSourceTables(client, [later], foreignKeys))
    expect(await indexed()).toContainEqual({ indexname: 'things_owner_idx' })
  })

  it('adds a missing column, and refuses one of another type and another key', async () => {
    await using db = await database()
    const wider = defineTable({ name: 'crm.companies', key: 'id', columns: { ...companies.columns, city: text() } })
    await withTransaction(db.pool, {}, (client) => ensureSourceTables(client, [wider]))
    await db.query('select city from crm.companies')
    const other = defineTable({ name: 'crm.companies', key: 'id', columns: { id: bigint().notNull(), name: number() } })
    await expect(withTransaction(db.pool, {}, (client) => ensureSourceTables(client, [other]))).rejects.toMatchObject({
      code: 'CONNECT_COLUMN_TYPE',
    })
    const rekeyed = defineTable({ name: 'crm.companies', key: ['id', 'name'], columns: companies.columns })
    await expect(withTransaction(db.pool, {}, (client) => ensureSourceTables(client, [rekeyed]))).rejects.toMatchObject(
      { code: 'CONNECT_TABLE_KEY', mend: expect.stringContaining('drop table crm.companies') },
    )
    const { rows } = await db.query("select relreplident from pg_class where oid = 'crm.companies'::regclass")
    expect(rows).toStrictEqual([{ relreplident: 'f' }])
  })
})
