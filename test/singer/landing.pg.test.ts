/** What a tap says is what lands: exactly, once, with its state behind it. The tap is taps/scripted.py. */
import { describe, expect, test } from 'vitest'
import { activate, record, Script, schema, state } from './harness.ts'
import { whyNoPython } from './python.ts'

const reason = whyNoPython()
if (reason !== undefined) process.stderr.write(`${reason}\n`)

describe.skipIf(reason !== undefined)('a tap that is run', () => {
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

const FULL = { stream: { replication: { method: 'full-table' } } } as const
const INCREMENTAL = { stream: { replication: { method: 'incremental' } } } as const

describe.skipIf(reason !== undefined)('rows that are gone', () => {
  test('go when a newer version is activated, also where its records came in two runs', async () => {
    await using script = await Script.open([
      [schema, record(1, {}, 10), record(2, {}, 10), record(3, {}, 10), activate(10), state({ version: 10 })],
      [schema, record(1, {}, 20), state({ version: 20, at: 1 }), { exit: 1 }],
      [schema, record(3, {}, 20), activate(20), state({ version: 20 })],
    ])
    await script.pass()
    expect(await script.ids()).toEqual([1, 2, 3])
    await expect(script.pass()).rejects.toThrow('ended with code 1')
    expect(await script.ids()).toEqual([1, 2, 3])
    await script.pass()
    expect(await script.ids()).toEqual([1, 3])
  })

  test('stay while the version that is activated is the active one, as incremental taps say it each time', async () => {
    await using script = await Script.open(
      [
        [schema, activate(10), record(1, {}, 10), record(2, {}, 10), state({ at: 1 })],
        [schema, activate(10), record(2, { title: 'anew' }, 10), state({ at: 2 })],
      ],
      INCREMENTAL,
    )
    await script.pass()
    await script.pass()
    expect(await script.ids()).toEqual([1, 2])
  })

  test('stay until the run has ended well, when a version is activated before its records', async () => {
    await using script = await Script.open([
      [schema, activate(10), record(1, {}, 10), record(2, {}, 10), state({ version: 10 })],
      [schema, activate(20), record(2, {}, 20), { exit: 1 }],
      [schema, activate(20), record(2, {}, 20)],
    ])
    await script.pass()
    await expect(script.pass()).rejects.toThrow()
    expect(await script.ids()).toEqual([1, 2])
    await script.pass()
    expect(await script.ids()).toEqual([2])
  })

  test('go by a whole read of a table that is read as a whole, to the last one', async () => {
    await using script = await Script.open(
      [
        [schema, record(1), record(2), state({ at: 1 })],
        [schema, record(2), { exit: 1 }],
        [schema, record(2)],
        [schema],
      ],
      FULL,
    )
    await script.pass()
    await expect(script.pass()).rejects.toThrow()
    expect(await script.ids()).toEqual([1, 2])
    await script.pass()
    expect(await script.ids()).toEqual([2])
    await script.pass()
    expect(await script.ids()).toEqual([])
  })

  test('go by a run of a tap that keeps no state, but never by one that reads nothing or keeps one', async () => {
    await using stateless = await Script.open([[schema, record(1), record(2)], [schema, record(2)], [schema]])
    await stateless.pass()
    await stateless.pass()
    expect(await stateless.ids()).toEqual([2])
    await stateless.pass()
    expect(await stateless.ids()).toEqual([2])

    await using keeping = await Script.open([[schema, record(1), state({ at: 1 })], [schema, record(2)], [schema]])
    await keeping.pass()
    await keeping.pass()
    expect(await keeping.ids()).toEqual([1, 2])
  })
})
