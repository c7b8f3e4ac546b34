/** Files into tables: once and watched, whole and growing, replaced, broken, and a kill anywhere. */
import { writeFileSync } from 'node:fs'
import { appendFile, mkdtemp, rename, rm, unlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BudgetBook } from '../../src/connect/budget.ts'
import type { ConnectFaults, RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { bigint, boolean, date, defineTable, json, number, text } from '../../src/define/index.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { type FileStream, type FilesOptions, files } from './index.ts'

const people = defineTable({
  name: 'files.people',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), size: number(), active: boolean(), since: date(), raw: json() },
})

const EVERY_MS = 5_000

async function setUp(
  stream: Omit<FileStream, 'table' | 'path'> & { readonly pattern?: string } = {},
  options: Omit<FilesOptions, 'streams'> = {},
) {
  const database = await createTestDatabase('files')
  const folder = await mkdtemp(join(tmpdir(), 'rescore-files-'))
  const { pattern = '*', ...rest } = stream
  const connector = files({
    everyMs: EVERY_MS,
    ...options,
    streams: [{ table: people, path: join(folder, pattern), ...rest }],
  })
  const said: string[] = []
  const log = { info: () => undefined, warn: (_: object, message: string) => void said.push(message) }
  let now = Date.UTC(2026, 0, 1)
  const run: RunConnectorOptions = {
    pool: database.pool,
    connector,
    signal: new AbortController().signal,
    log,
    clock: { now: () => now },
  }
  await prepareConnector(run)
  const [declared] = connector.streams
  if (declared === undefined) throw new Error('no stream')
  const pass = async (faults?: ConnectFaults) => {
    const landed = await runPass({ ...run, ...(faults === undefined ? {} : { faults }) }, declared, new BudgetBook())
    now += EVERY_MS
    return landed
  }
  return {
    folder,
    file: (name: string) => join(folder, name),
    said,
    pass,
    /** A look, and the one that finds it at rest. */
    async settle() {
      const first = await pass()
      const second = await pass()
      return { written: first.written + second.written, rejected: first.rejected + second.rejected }
    },
    rows: async (columns = 'id, name') =>
      (await database.pool.query(`select ${columns} from files.people order by id`)).rows,
    ids: async () =>
      (await database.pool.query<{ id: bigint }>('select id from files.people order by id')).rows.map(({ id }) =>
        Number(id),
      ),
    rejects: async () =>
      (
        await database.pool.query<{ key: string; reason: string }>(
          'select key, reason from rescore.reject order by key',
        )
      ).rows,
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true })
      await database[Symbol.asyncDispose]()
    },
  }
}

const csv = (from: number, to: number, mark = '') => {
  const lines = Array.from({ length: to - from + 1 }, (_, at) => `${from + at},Person ${from + at}${mark}`)
  return `id,name\n${lines.join('\n')}\n`
}

test('CSV is typed by the declaration; what fits no column is kept in raw', async () => {
  await using at = await setUp({ columns: { size: 'Team size' }, delimiter: ';' }, { watch: false })
  const lines = [
    '\uFEFFid;name;Team size;active;since;extra',
    '1;"Zürich; ""HQ""";1234567890123456.78;true;2026-02-03;x',
    '2;"two\r\nlines";many;;;',
    '9007199254740993;;;;;',
  ]
  await writeFile(at.file('a.csv'), lines.join('\r\n'))
  expect(await at.pass()).toEqual({ written: 3, rejected: 0 })
  expect(await at.rows('id, name, size::text, active, since::text, raw')).toEqual([
    {
      id: 1n,
      name: 'Zürich; "HQ"',
      size: '1234567890123456.78',
      active: true,
      since: '2026-02-03',
      raw: { extra: 'x' },
    },
    { id: 2n, name: 'two\nlines', size: null, active: null, since: null, raw: { extra: null, size: 'many' } },
    { id: 9007199254740993n, name: null, size: null, active: null, since: null, raw: { extra: null } },
  ])
})

test('another encoding is read where it is declared', async () => {
  await using at = await setUp({ encoding: 'windows-1252', header: ['id', 'name'] }, { watch: false })
  await writeFile(at.file('a.csv'), Buffer.from('1,M\xfcller \x80\n', 'latin1'))
  await at.pass()
  expect(await at.rows()).toEqual([{ id: 1n, name: 'Müller €' }])
})

test('what was typed wrong in a line is told with the line; its neighbours land', async () => {
  await using at = await setUp({ pattern: '*.csv' }, { watch: false })
  await writeFile(
    at.file('a.csv'),
    ['id,name', '1,one', 'x,no number', '2,"open', ',no key', '3,three', '4,too,many', '5,five'].join('\r\n'),
  )
  expect(await at.pass()).toEqual({ written: 3, rejected: 4 })
  expect(await at.ids()).toEqual([1, 3, 5])
  expect((await at.rejects()).map(({ key, reason }) => [key, reason.split(': ')[1]])).toEqual([
    [`${at.file('a.csv')}:3`, 'its id is no bigint.'],
    [`${at.file('a.csv')}:4`, expect.stringMatching(/quote/i)],
    [`${at.file('a.csv')}:5`, 'it has no id.'],
    [`${at.file('a.csv')}:7`, 'it has 3 fields where the header has 2.'],
  ])
})

test('JSON lines keep every digit; a line that is no object is set aside', async () => {
  await using at = await setUp({ pattern: '*.jsonl' }, { watch: false })
  await writeFile(
    at.file('a.jsonl'),
    '\uFEFF{"id":9007199254740993,"size":0.1,"nested":{"a":1}}\n\n[1]\nnull\n{"id":2,"name":"cut\n{"id":3,"name":"N\\u0000L"}',
  )
  expect(await at.pass()).toEqual({ written: 2, rejected: 3 })
  expect(await at.rows('id, name, size::text, raw')).toEqual([
    { id: 3n, name: 'N\uFFFDL', size: null, raw: { name: 'N\\u0000L' } },
    { id: 9007199254740993n, name: null, size: '0.1', raw: { nested: { a: 1 } } },
  ])
})

test('once means once: what comes later is not read', async () => {
  await using at = await setUp({}, { watch: false })
  await writeFile(at.file('a.csv'), csv(1, 2))
  await at.pass()
  await writeFile(at.file('b.csv'), csv(3, 4))
  expect([await at.settle(), await at.ids()]).toEqual([{ written: 0, rejected: 0 }, [1, 2]])
})

test('a file that is still being written is left until it rests', async () => {
  await using at = await setUp()
  await writeFile(at.file('a.csv'), 'id,name\n1,on')
  expect((await at.pass()).written).toBe(0)
  await appendFile(at.file('a.csv'), 'e\n2,tw')
  expect((await at.pass()).written).toBe(0)
  await appendFile(at.file('a.csv'), 'o\n')
  expect((await at.pass()).written).toBe(0)
  expect((await at.pass()).written).toBe(2)
  expect(await at.rows()).toEqual([
    { id: 1n, name: 'one' },
    { id: 2n, name: 'two' },
  ])
  // Not again, and not for being looked at twice at one time.
  expect([await at.pass(), await at.pass()]).toEqual([
    { written: 0, rejected: 0 },
    { written: 0, rejected: 0 },
  ])
})

test('a file that is replaced, by name or in place, is read anew; rows it no longer has stay', async () => {
  await using at = await setUp()
  await writeFile(at.file('a.csv'), csv(1, 3))
  await at.settle()
  await writeFile(at.file('.new'), csv(3, 4, '!'))
  await rename(at.file('.new'), at.file('a.csv'))
  expect(await at.settle()).toEqual({ written: 2, rejected: 0 })
  await writeFile(at.file('a.csv'), csv(1, 1, '?'))
  await at.settle()
  expect(await at.rows()).toMatchObject([
    { name: 'Person 1?' },
    { name: 'Person 2' },
    { name: 'Person 3!' },
    { name: 'Person 4!' },
  ])
})

test('a header that drifts: new fields go to raw, missing ones leave their column null, one without the key is refused', async () => {
  await using at = await setUp()
  await writeFile(at.file('a.csv'), 'id,name,size\n1,one,10\n')
  await writeFile(at.file('b.csv'), 'colour,id\nred,2\n')
  await writeFile(at.file('c.csv'), 'name\nlost\n')
  await writeFile(at.file('d.csv'), 'id,id\n3,3\n')
  expect(await at.settle()).toEqual({ written: 2, rejected: 2 })
  expect(await at.rows('id, name, size::int, raw')).toEqual([
    { id: 1n, name: 'one', size: 10, raw: null },
    { id: 2n, name: null, size: null, raw: { colour: 'red' } },
  ])
  expect((await at.rejects()).map(({ reason }) => reason)).toEqual([
    expect.stringContaining('no field gives the key id'),
    expect.stringContaining("two fields are called 'id'"),
  ])
})

test('a snapshot deletes what it no longer holds, over all its files', async () => {
  await using at = await setUp({ mode: 'snapshot', pattern: 'part-*.csv' })
  await writeFile(at.file('part-1.csv'), csv(1, 3))
  await writeFile(at.file('part-2.csv'), csv(4, 6))
  await at.settle()
  expect(await at.ids()).toEqual([1, 2, 3, 4, 5, 6])
  await writeFile(at.file('part-2.csv'), csv(5, 5))
  expect((await at.settle()).written).toBe(2)
  expect(await at.ids()).toEqual([1, 2, 3, 5])
  await unlink(at.file('part-1.csv'))
  await at.settle()
  expect(await at.ids()).toEqual([5])
})

test('a snapshot with a bad line deletes nothing, and neither does one that is gone', async () => {
  await using at = await setUp({ mode: 'snapshot', pattern: 'all.csv' })
  await writeFile(at.file('all.csv'), csv(1, 3))
  await at.settle()
  await writeFile(at.file('all.csv'), 'id,name\n1,new\nbad\n')
  await at.settle()
  expect(await at.rows()).toMatchObject([{ name: 'new' }, { name: 'Person 2' }, { name: 'Person 3' }])
  expect(at.said).toEqual([expect.stringContaining('bad lines')])
  await unlink(at.file('all.csv'))
  await at.settle()
  expect(await at.ids()).toEqual([1, 2, 3])
})

test('a snapshot that changes while it is read deletes nothing, and is read again', async () => {
  await using at = await setUp({ mode: 'snapshot' })
  await writeFile(at.file('a.csv'), csv(1, 2_000))
  await at.settle()
  await writeFile(at.file('a.csv'), csv(1, 1_500, '!'))
  await at.pass()
  let seen = 0
  const onMessage = () => {
    seen += 1
    if (seen === 1_200) writeFileSync(at.file('a.csv'), csv(1, 1_999, '?'))
  }
  await at.pass({ onMessage })
  expect(await at.ids()).toHaveLength(2_000)
  await at.settle()
  expect((await at.rows()).map(({ name }) => name)).toEqual(
    Array.from({ length: 1_999 }, (_, one) => `Person ${one + 1}?`),
  )
})

test('of a growing file only whole lines are read, each once, also when it was moved or cut short', async () => {
  await using at = await setUp({ mode: 'append', pattern: 'log*' })
  await writeFile(at.file('log.csv'), 'id,name\n1,one\n2,tw')
  expect((await at.pass()).written).toBe(1)
  await appendFile(at.file('log.csv'), 'o\n3,three\n')
  expect((await at.pass()).written).toBe(2)
  await rename(at.file('log.csv'), at.file('log.1'))
  await appendFile(at.file('log.1'), '4,four\n')
  await writeFile(at.file('log.csv'), 'id,name\n5,five\n')
  expect((await at.pass()).written).toBe(2)
  // Emptied and begun again in its place, by the same number of the disk.
  await writeFile(at.file('log.csv'), 'name,id\nsix,6\nseven,7\n')
  expect((await at.pass()).written).toBe(2)
  expect(await at.rows()).toMatchObject(
    ['one', 'two', 'three', 'four', 'five', 'six', 'seven'].map((name) => ({ name })),
  )
})

test.each(['upsert', 'snapshot', 'append'] as const)(
  '%s: killed at any message, the next run goes on where it had come to',
  async (mode) => {
    await using at = await setUp({ mode })
    await writeFile(at.file('a.csv'), csv(1, 2_500))
    await writeFile(at.file('b.csv'), csv(2_501, 5_000))
    await utimes(at.file('a.csv'), 1_700_000_000, 1_700_000_000)
    let messages = 0
    const count = () => {
      messages += 1
    }
    for (const kill of [700, 1_900, 1_100]) {
      let seen = 0
      const onMessage = () => {
        count()
        seen += 1
        if (seen === kill) throw new Error('killed')
      }
      await at.pass()
      await at.pass({ onMessage }).catch((error: Error) => expect(error.message).toBe('killed'))
    }
    await at.pass({ onMessage: count })
    await at.pass({ onMessage: count })
    expect(await at.ids()).toHaveLength(5_000)
    // At most a batch is read twice for each kill.
    expect(messages).toBeLessThan(5_000 + 4 * 1_000 + 100)
  },
)
