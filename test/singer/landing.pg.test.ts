/** What a tap says is what lands: exactly, once, with its state behind it. The tap is taps/scripted.py. */
import { describe, expect, test } from 'vitest'
import { bigint, defineTable, timestamp } from '../../src/define/index.ts'
import { reportConnectors } from '../../src/observe/connectors.ts'
import { record, Script, schema, state } from './harness.ts'
import { whyNoPython } from './python.ts'

describe.skipIf(whyNoPython !== undefined)('a tap that is run', () => {
  test('lands its records, is resumed from its own state, and writes nothing it has written', async () => {
    const run = [schema, record(1, { title: 'One' }), record(2, { title: 'Two' }), state({ bookmarks: { at: 7 } })]
    await using script = await Script.open([run])
    expect(await script.pass()).toMatchObject({ written: 2, rejected: 0 })
    expect(await script.pass()).toMatchObject({ written: 0 })
    const [first, second] = script.seen()
    expect([first?.state, second?.state]).toEqual([null, { bookmarks: { at: 7 } }])
    expect(first?.catalog?.streams).toMatchObject([
      { stream: 'orders', schema: { selected: true } },
      { stream: 'customers', schema: { selected: false } },
    ])
  })

  test('numbers keep every digit, in columns and in its state', async () => {
    const big = '9007199254740993'
    const line = `{"type":"RECORD","stream":"orders","record":{"id":${big},"price":12345678901234567890.123456789,"extra":NaN}}`
    const value = `{"lsn":${big},"rate":1.10,"big":1e30}`
    await using script = await Script.open([
      [schema, { print: line }, { print: `{"type":"STATE","value":${value}}` }],
      [schema],
    ])
    await script.pass()
    await script.pass()
    const { rows } = await script.database.query<{ id: string; price: string; raw: unknown }>(
      'select id::text, price::text, raw from books.orders',
    )
    expect(rows).toEqual([{ id: big, price: '12345678901234567890.123456789', raw: { extra: 'NaN' } }])
    expect(script.seen()[1]?.stateText).toBe(value)
  })

  test('what is printed besides messages goes to the log, wherever it stands', async () => {
    await using script = await Script.open([
      [
        { print: 'starting up' },
        { print: '{\n  "about": "me"\n}' },
        schema,
        { write: 'fetching page 1… ' },
        record(1),
        { print: '{"type":"LOG","message":"another kind"}' },
        record(2),
      ],
    ])
    expect(await script.pass()).toMatchObject({ written: 2, rejected: 0 })
    expect(script.said.filter((line) => line.includes('fetching page 1'))).toHaveLength(1)
  })

  test('an empty state replaces none, and a state moves only behind its records', async () => {
    await using script = await Script.open([
      [schema, record(1), state({ at: 1 }), record(2), { exit: 1 }],
      [state({}), schema, record(2), state({ at: 2 })],
      [schema],
    ])
    await expect(script.pass()).rejects.toMatchObject({ code: 'CONNECT_TAP_FAILED', kind: 'transient' })
    expect(await script.ids()).toEqual([1, 2])
    await script.pass()
    await script.pass()
    expect(script.seen().map(({ state: given }) => given)).toEqual([null, { at: 1 }, { at: 2 }])
  })

  test('a state that never comes does not let the buffer grow', async () => {
    const flood = { repeat: 30_000, steps: [record('%d', { title: 'many' })] }
    await using script = await Script.open([[schema, flood, state({ at: 1 })]])
    let messages = 0
    let most = 0
    await script.pass({
      onMessage: () => {
        messages += 1
        most = Math.max(most, messages)
      },
      afterLand: () => {
        messages = 0
      },
    })
    expect((await script.ids()).length).toBe(30_000)
    expect(most).toBeLessThan(6_000)
  })

  test('a record beyond the cap is set aside alone; a message that is broken fails the run', async () => {
    const tap = { maxLineBytes: 10_000 }
    const long = record(2, { title: 'x'.repeat(20_000) })
    await using script = await Script.open([[schema, record(1), long, record(3)]], { tap })
    expect(await script.pass()).toMatchObject({ written: 2, rejected: 1 })
    await using broken = await Script.open([[schema, record(1), { print: '{"type":"RECORD","stream":"orders","rec' }]])
    await expect(broken.pass()).rejects.toMatchObject({ code: 'CONNECT_TAP_LINE', kind: 'transient' })
  })

  test('properties without a column are kept in raw, chosen ones are asked for, columns may have other names', async () => {
    const select = ['title']
    const columns = { title: 'book.title' }
    await using script = await Script.open(
      [[schema, record(1, { book: { title: 'Ulysses', pages: 700 }, price: 3, _sdc_batched_at: 'now', isbn: 'X' })]],
      { stream: { select, columns } },
    )
    await script.pass()
    expect(await script.rows()).toEqual([
      { id: 1, title: 'Ulysses', price: 3, raw: { book: { title: 'Ulysses', pages: 700 }, isbn: 'X' } },
    ])
    const properties = script.seen()[0]?.catalog?.streams[0]?.schema
    expect(properties).toMatchObject({ properties: { title: { selected: true }, price: { selected: false } } })
  })

  test('a record of a log holds only what changed, and the rest is left as it is', async () => {
    await using script = await Script.open(
      [
        [schema, record(1, { title: 'One', price: 5, note: 'kept' }), state({ at: 1 })],
        [schema, record(1, { title: 'Uno' }), state({ at: 2 })],
      ],
      { stream: { replication: { method: 'log-based' } } },
    )
    await script.pass()
    await script.pass()
    expect(await script.rows()).toEqual([{ id: 1, title: 'Uno', price: 5, raw: { note: 'kept' } }])
  })

  test('records come under any name the catalog has, under another only where it is said, and never unseen', async () => {
    const line = (stream: string, type: string) =>
      type === 'SCHEMA'
        ? { say: { type, stream, schema: {}, key_properties: ['id'] } }
        : { say: { type, stream, record: { id: 1 } } }
    const run = [line('public-orders', 'SCHEMA'), line('public-orders', 'RECORD')]
    await using unseen = await Script.open([run])
    await expect(unseen.pass()).rejects.toThrow("no word about 'orders'. It has: public-orders")
    await using said = await Script.open([run], { stream: { emits: 'public-orders' } })
    expect(await said.pass()).toMatchObject({ written: 1 })
    await using parent = await Script.open([[line('customers', 'SCHEMA'), line('customers', 'RECORD')]], {
      stream: { along: ['customers'] },
    })
    expect(await parent.pass()).toMatchObject({ written: 0 })
  })

  test('when a record was read is kept where the table has a place for it', async () => {
    const timed = defineTable({
      name: 'books.timed',
      key: 'id',
      columns: { id: bigint().notNull(), _sdc_extracted_at: timestamp() },
    })
    const at = {
      say: { type: 'RECORD', stream: 'orders', record: { id: 1 }, time_extracted: '2026-01-01T00:00:00.5Z' },
    }
    await using script = await Script.open([[schema, at]], { stream: { table: timed } })
    await script.pass()
    expect(await script.rows(timed)).toEqual([{ id: 1, _sdc_extracted_at: '2026-01-01T00:00:00.5+00:00' }])
  })

  test('a changed SCHEMA is told of as drift', async () => {
    const changed = { properties: { id: { type: 'integer' }, price: { type: 'string' }, isbn: { type: 'string' } } }
    await using script = await Script.open([
      [schema, record(1)],
      [{ say: { type: 'SCHEMA', stream: 'orders', schema: changed, key_properties: ['id'] } }, record(1)],
    ])
    await script.pass()
    await script.pass()
    const [report] = await reportConnectors(script.database.pool, [script.connector])
    expect(report?.drift).toEqual(['price: number → string', 'title is gone'])
  })

  test('a record that says it is deleted is', async () => {
    await using script = await Script.open([
      [schema, record(1), record(2), state({ at: 1 })],
      [schema, record(2, { _sdc_deleted_at: '2026-01-01T00:00:00Z' }), state({ at: 2 })],
    ])
    await script.pass()
    await script.pass()
    expect(await script.ids()).toEqual([1])
  })
})
