/** Rows that a tap no longer has go, by versions and by whole reads, and never because a run broke off. */
import { describe, expect, test } from 'vitest'
import { activate, record, Script, schema, state } from './harness.ts'
import { whyNoPython } from './python.ts'

const FULL = { stream: { replication: { method: 'full-table' } } } as const
const INCREMENTAL = { stream: { replication: { method: 'incremental' } } } as const

describe.skipIf(whyNoPython !== undefined)('rows that are gone', () => {
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

  test('are told apart by a full read that was broken off and by the run of the stream in between', async () => {
    const half = [schema, record(1, {}, 20), state({ version: 20, at: 1 }), { exit: 1 }]
    const own = [schema, record(1, {}, 10), record(2, {}, 10), record(3, {}, 10), activate(10), state({ version: 10 })]
    const rest = [schema, record(2, {}, 20), activate(20), state({ version: 20 })]
    await using script = await Script.open([half, own, rest, [schema, activate(10), record(2, {}, 10)]])
    await expect(script.pass({}, 'full')).rejects.toThrow('ended with code 1')
    await script.pass()
    await script.pass({}, 'full')
    expect(await script.ids()).toEqual([1, 2])
    await script.pass()
    expect(await script.ids()).toEqual([1, 2])
    const { rows } = await script.database.query('select from rescore.listed')
    expect(rows).toEqual([])
  })

  test('leave no listing behind, however many runs break off', async () => {
    const broken = (version: number) => [schema, record(1, {}, version), record(2, {}, version), { exit: 1 }]
    await using script = await Script.open([broken(10), broken(20), broken(30)])
    for (let run = 0; run < 3; run += 1) await expect(script.pass()).rejects.toThrow('ended with code 1')
    const { rows } = await script.database.query<{ listing: string }>('select distinct listing from rescore.listed')
    expect(rows.map(({ listing }) => listing.startsWith('version 30'))).toEqual([true])
  })
})
