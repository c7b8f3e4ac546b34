/** The time it is: of the database, and never falling for whatever reads it. */
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/support/pg.ts'
import { holdKeys } from './hold.ts'
import { inVisibleSnapshot } from './visibility.ts'

const signal = new AbortController().signal

test('an instant is the database’s, and read before the snapshot', async () => {
  await using database = await createTestDatabase('clock')
  const { pool } = database
  const [before, inside] = await inVisibleSnapshot({ pool, signal, isTimed: true }, [], async ({ client, nowMs }) => {
    const { rows } = await client.query<{ now: number }>(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as now',
    )
    return [nowMs, rows[0]?.now ?? 0]
  })
  expect(Number.isInteger(before)).toBe(true)
  expect(before).toBeLessThanOrEqual(inside ?? 0)
})

test('a clock that jumps back stands still until it has caught up, also after a start anew', async () => {
  await using database = await createTestDatabase('clock')
  const { pool } = database
  const tell = (nowMs: number, isTimed = true) =>
    inVisibleSnapshot({ pool, signal, isTimed, clock: () => nowMs }, [], (context) => Promise.resolve(context.nowMs))
  expect(await tell(5_000_000)).toBe(5_000_000)
  expect(await tell(5_000_001)).toBe(5_000_001)
  expect(await tell(1_400_000)).toBe(5_000_001)
  expect(await tell(5_000_000)).toBe(5_000_001)
  expect(await tell(5_000_002)).toBe(5_000_002)
  // What does not read the time leaves no mark.
  expect(await tell(6_000_000, false)).toBe(6_000_000)
  expect(await tell(5_500_000)).toBe(5_500_000)
})

test('who holds a key is told no earlier time than whoever held it before', async () => {
  await using database = await createTestDatabase('clock')
  const { pool } = database
  const keys = {
    space: 'none',
    lock: {
      name: 'rescore-none',
      text: 'select key from rescore.timer where key = any($1::text[]) for update',
      values: [],
    },
  }
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const shared = { pool, signal, isTimed: true, isShared: true }
  const slow = inVisibleSnapshot({ ...shared, clock: () => 1_000 }, [], async (context) => {
    begun.resolve()
    await gate.promise
    const held = await holdKeys(context, keys, ['1'])
    return [context.nowMs, held.nowMs]
  })
  await begun.promise
  await inVisibleSnapshot({ ...shared, clock: () => 2_000 }, [], (context) => holdKeys(context, keys, ['1']))
  gate.resolve()
  expect(await slow).toEqual([1_000, 2_000])
})
