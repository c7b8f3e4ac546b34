/**
 * A table of another PostgreSQL database, made beside the kit's, as the fixture of the postgres connector.
 * Invariant: each fixture has a database, a role and a slot of its own name, and takes them away with it.
 */
import { randomBytes } from 'node:crypto'
import { postgres } from '../../connectors/postgres/index.ts'
import { CHECKS, type ConformanceSpec, type Fixture, manualClock } from '../../src/conformance/index.ts'
import { createPool, type Pool } from '../../src/db/pool.ts'
import { bigint, defineTable, json, number, text } from '../../src/define/index.ts'
import { eventually } from '../support/eventually.ts'

const companies = defineTable({
  name: 'kit_copy.companies',
  key: 'id',
  columns: { id: bigint().notNull(), name: text().notNull(), employees: number(), doc: json() },
})

const FROM = 'shop.companies'
/** Small, so that the records a fixture starts with are several pieces. */
const CHUNK_ROWS = 50
const STARTS_WITH = 250

const TABLES = `create schema shop;
  create table ${FROM} (id bigint primary key, name text, employees numeric, doc json, edits integer not null default 0);
  create table shop.removed (like ${FROM});
  create sequence shop.ids`

const ODD = [
  ['quotes " and \\ and 東京', '9007199254740993', { nul: 'NUL \0 in it', big: '9007199254740993' }],
  ['🚀 Zürich\nnext line', '-0.1', { emoji: '🚀' }],
  ['ä'.repeat(1_000_000), '12345678901234567890', null],
] as const

interface Place {
  readonly admin: Pool
  readonly name: string
  readonly source: Pool
  readonly url: string
}

/** The role owns its database and can do nothing beside it but replicate. */
async function openPlace(kit: Pool | undefined, secret: string): Promise<Place> {
  const beside = kit?.options.connectionString
  if (beside === undefined) throw new TypeError('This fixture is made beside the database of the kit.')
  const server = new URL(beside)
  server.search = ''
  const name = `kit_copy_${randomBytes(5).toString('hex')}`
  const admin = createPool({ url: server.href, applicationName: 'rescore conformance', max: 1 })
  await admin.query(`create role ${name} login replication password '${secret}'`)
  await admin.query(`create database ${name} owner ${name}`)
  const own = new URL(server)
  own.pathname = `/${name}`
  own.username = name
  own.password = secret
  // One connection: deeds come one after the other, also where the kit asks for them side by side.
  const source = createPool({ url: own.href, applicationName: 'rescore conformance', max: 1 })
  await source.query(TABLES)
  return { admin, name, source, url: own.href }
}

/** What was killed may be reading the slot still. */
async function dropSlot({ admin, name }: Place): Promise<void> {
  await eventually(async () => {
    await admin.query('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [name])
    await admin.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [
      name,
    ])
  })
}

async function closePlace(place: Place): Promise<void> {
  const { admin, name, source } = place
  await source.end()
  await dropSlot(place)
  await admin.query(`drop database ${name} with (force)`)
  await admin.query(`drop role ${name}`)
  await admin.end()
}

async function fixture({ secret, pool }: { readonly secret: string; readonly pool?: Pool }): Promise<Fixture> {
  const place = await openPlace(pool, secret)
  const { source, url } = place
  const create = async (count: number) => {
    await source.query(
      `insert into ${FROM} select id, 'Company ' || id, id % 500
       from (select nextval('shop.ids') as id from generate_series(1, $1::int)) s`,
      [count],
    )
  }
  const insert = (id: string, name: string | null, employees: string, doc: object | null) =>
    source.query(`insert into ${FROM} values ($1, $2, $3, $4)`, [id, name, employees, JSON.stringify(doc)])
  const remove = async (count: number): Promise<string | undefined> => {
    const { rows } = await source.query<{ id: bigint }>(
      `with gone as (delete from ${FROM} where id in (select id from ${FROM} order by id limit $1) returning *)
       insert into shop.removed select * from gone returning id`,
      [count],
    )
    return rows[0]?.id.toString()
  }
  await create(STARTS_WITH)
  return {
    url,
    clock: manualClock(),
    truth: async () => {
      const { rows } = await source.query<{ id: string; name: string; employees: string; doc: string | null }>(
        `select id::text, name, employees::text, doc::text from ${FROM} where name is not null`,
      )
      const docOf = (doc: string | null) => (doc === null ? null : JSON.parse(doc.replaceAll('\\u0000', '\\ufffd')))
      return { [companies.id]: rows.map((row) => ({ ...row, doc: docOf(row.doc) })) }
    },
    create,
    change: async (count) => {
      await source.query(
        `update ${FROM} set name = name || '''', edits = edits + 1
         where id in (select id from ${FROM} where name is not null order by edits, id limit $1)`,
        [count],
      )
    },
    remove: async (count) => void (await remove(count)),
    restore: async () => {
      await source.query(`with back as (delete from shop.removed returning *) insert into ${FROM} select * from back`)
    },
    erase: async () => (await remove(1)) ?? '',
    // The source lets it be null, the copy does not.
    poison: async () => void (await insert('5000000', null, '1', null)),
    oddValues: async () => {
      for (const [at, [name, employees, doc]] of ODD.entries()) {
        await insert(String(9_007_199_254_740_993n + BigInt(at)), name, employees, doc)
      }
    },
    forget: () => dropSlot(place),
    [Symbol.asyncDispose]: () => closePlace(place),
  }
}

const NO_SUCH_ANSWER = /^nothing is lost to: (429|daily|500|503|200|cut JSON)/

function reasonFor(name: string): string | undefined {
  if (NO_SUCH_ANSWER.test(name)) return "an answer of HTTP; PostgreSQL's protocol has no such thing"
  if (name === 'nothing is lost to: slow') {
    return 'a statement at the source may rightly take minutes; silence of the stream ends it after 60 s'
  }
  if (name.startsWith('two runs from one start')) {
    return 'changes come on one connection as the source sends them; the marks in it are drawn anew by design'
  }
  if (name.startsWith('never over budget')) return 'a stream that is sent makes no calls to count'
  return undefined
}

export const postgresSpec: ConformanceSpec = {
  name: 'postgres (tables of another database)',
  wire: 'postgres',
  connector: ({ url }) => {
    // Names of slots are shared by the whole server.
    const slot = new URL(url).pathname.slice(1)
    return postgres({ name: 'shop', url, slot, tables: [{ table: companies, from: FROM }], chunkRows: CHUNK_ROWS })
  },
  fixture,
  pageSize: CHUNK_ROWS,
  notApplicable: Object.fromEntries(
    CHECKS.flatMap(({ name }) => {
      const reason = reasonFor(name)
      return reason === undefined ? [] : [[name, reason]]
    }),
  ),
}
