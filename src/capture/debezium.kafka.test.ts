/**
 * The same changes of one table of all types, published by us and by a real Debezium connector: record by record equal, but
 * for what ALLOWED names. docs/kafka.md gives the reasons.
 */
import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { startDebezium } from '../../test/support/kafka/debezium.ts'
import { describeKafka } from '../../test/support/kafka/kafka.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { QUIET, type ReadRecord, readTopics, setUpPublishing } from '../../test/support/publishing.ts'
import { ensureTopics } from '../log/kafka/topics-admin.ts'

const TABLE = 'public.item'

/** Column, its type, and a value as SQL. */
const COLUMNS: readonly (readonly [name: string, type: string, value: string])[] = [
  ['id', 'integer primary key', '1'],
  ['version', 'smallint', '-7'],
  ['i8', 'bigint', '9007199254740993'],
  ['f4', 'real', '1.5'],
  ['f8', 'double precision', '1e20'],
  ['b', 'boolean', 'true'],
  ['num', 'numeric', '12.3400'],
  ['num2', 'numeric(10,2)', '-1.5'],
  ['num0', 'numeric(8,0)', '12345678'],
  ['cash', 'money', `'$1,234.50'`],
  ['txt', 'text', `'a"b\\c' || chr(10) || chr(1) || 'é漢😀'`],
  ['vc', 'varchar(10)', `'vc'`],
  ['ch', 'char(5)', `'ab'`],
  ['uid', 'uuid', `'0b2f1c1e-0000-4000-8000-000000000000'`],
  ['j', 'json', `'{"a": 1}'`],
  ['jb', 'jsonb', `'{"b":[1,2.50]}'`],
  ['x', 'xml', `'<a/>'`],
  ['mood', 'mood', `'ok'`],
  ['dom', 'posint', '5'],
  ['da', 'date', `'2026-01-01'`],
  ['ti', 'time', `'01:02:03.4'`],
  ['ti3', 'time(3)', `'01:02:03.456'`],
  ['tz', 'timetz', `'01:30:00.5+02'`],
  ['ts', 'timestamp', `'2026-01-01 01:02:03.5'`],
  ['ts3', 'timestamp(3)', `'2026-01-01 01:02:03.456'`],
  ['tsz', 'timestamptz', `'2026-01-01 00:00:00.12+00'`],
  ['tsz0', 'timestamptz(0)', `'2026-01-01 00:00:01+00'`],
  ['tsz3', 'timestamptz(3)', `'2026-01-01 00:00:01.5+00'`],
  ['iv', 'interval', `'1 year 2 mons 3 days 04:05:06.7'`],
  ['by', 'bytea', `'\\xdeadbeef'`],
  ['ai', 'int[]', `'{1,NULL,3}'`],
  ['at', 'text[]', `'{a,"b c",NULL}'`],
  ['an', 'numeric[]', `'{1.50,2}'`],
  ['ad', 'date[]', `'{2026-01-01}'`],
  ['atz', 'timestamptz[]', `'{"2026-01-01 00:00:00+00"}'`],
  ['ip', 'inet', `'10.0.0.1'`],
  ['net', 'cidr', `'10.0.0.0/8'`],
  ['mac', 'macaddr', `'08:00:2b:01:02:03'`],
  ['p', 'point', `'(1.5,-2)'`],
  ['bt', 'bit(1)', `'1'`],
  ['bt10', 'bit(10)', `'1000000001'`],
  ['vb', 'varbit', `'101'`],
  ['r', 'int4range', `'[1,5)'`],
  ['rt', 'tstzrange', `'["2026-01-01 00:00:00+00",)'`],
  ['nothing', 'text', 'null'],
  ['big', 'text', `'short'`],
]

async function createTable(db: TestDatabase): Promise<void> {
  await db.query(`create type mood as enum ('ok', 'bad'); create domain posint as integer check (value > 0)`)
  await db.query(`create table public.item (${COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ')})`)
}

async function change(db: TestDatabase, decimal: 'string' | 'precise'): Promise<void> {
  const special = (value: string) => (decimal === 'string' ? `'${value}'` : '3')
  await db.query(`insert into public.item values (${COLUMNS.map(([, , value]) => value).join(', ')})`)
  await db.query(
    `insert into public.item (id, f4, f8, num, da, ts, tsz) values
     (2, 'NaN', '-Infinity', ${special('NaN')}, 'infinity', '-infinity', 'infinity'),
     (3, 0.1, 1234567.125, 0, '0044-03-15 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00+00 BC'),
     (4, 1e-7, 'Infinity', ${special('Infinity')}, '9999-12-31', '9999-12-31 23:59:59', '1969-12-31 23:59:59.999999+00'),
     (5, 'Infinity', 1e-300, ${special('-Infinity')}, '-infinity', 'infinity', '-infinity')`,
  )
  await db.query(
    `update public.item set big = (select string_agg(md5(i::text), '') from generate_series(1, 400) i) where id = 1`,
  )
  // Leaves the TOASTed value as it is.
  await db.query('update public.item set version = 8 where id = 1')
  await db.query('update public.item set id = 11 where id = 1')
  await db.query('delete from public.item where id = 3')
}

/** What may differ: when and by whom it was written, and Debezium's headers about itself. */
const ALLOWED = {
  envelope: ['ts_ms', 'ts_us', 'ts_ns'],
  source: ['version', 'name'],
  header: /^rescore\.|^__debezium\.context\./,
} as const

const without = (of: object, names: readonly string[]) => Object.entries(of).filter(([name]) => !names.includes(name))

function comparable({ key, partition, value, headers }: ReadRecord) {
  return {
    partition,
    key,
    headers: Object.entries(headers).filter(([name]) => !ALLOWED.header.test(name)),
    // As entries: the order of the fields counts too.
    value: value && [...without(value, [...ALLOWED.envelope, 'source']), without(value.source, ALLOWED.source)],
  }
}

const byPartition = (records: readonly ReadRecord[]) =>
  records.map(comparable).toSorted((a, b) => a.partition - b.partition)

describeKafka('beside a real Debezium connector', ({ brokers, version }) => {
  test.skipIf(version !== '4.4.0').each(['string', 'precise'] as const)(
    'every record of a table of all types is the same, decimals as %s',
    async (decimal) => {
      await using db = await createTestDatabase('debezium')
      await createTable(db)
      await using ours = await setUpPublishing(db, brokers, [TABLE])
      await db.query('select pg_copy_logical_replication_slot($1::name, $2::name)', [db.name, `${db.name}_dbz`])
      const prefix = `${ours.settings.prefix}-dbz`
      await ensureTopics({ ...ours.settings, prefix }, QUIET, [TABLE])
      await using theirs = await readTopics({ ...ours.settings, prefix }, [TABLE])
      await using _ours = ours.start({ types: { decimal, time: 'adaptive' } })
      await change(db, decimal)
      await using _theirs = await startDebezium(
        {
          url: db.url,
          database: db.name,
          slot: `${db.name}_dbz`,
          publication: db.name,
          table: TABLE,
          brokers,
          prefix,
        },
        decimal === 'string' ? 'tuned' : 'shipped',
      )
      await eventually(() => expect([ours.records.length, theirs.records.length]).toEqual([12, 12]), {
        deadlineMs: 60_000,
      })
      expect(byPartition(ours.records)).toEqual(byPartition(theirs.records))
    },
  )
})
