/**
 * Windows against a naive reading of their declaration: which rows are in one at an instant, and that a row enters and
 * leaves exactly when `entersAt` and `leavesAt` say, once and for all.
 */
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { dateOfDay, dayAt, dayOfDate } from './calendar.ts'
import { bigint, boolean, date, text, timestamp } from './column.ts'
import { DAY_MS, type Duration } from './duration.ts'
import { defineEntity } from './entity.ts'
import { defineFeature } from './feature.ts'
import { latenessMs } from './slack.ts'
import { defineTable } from './table.ts'
import { daysSince, refreshEvery } from './time.ts'
import { defineWindow, entersAt, leavesAt, type Window, windowText } from './window.ts'

const companies = defineTable({
  name: 'crm.companies',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), seen: timestamp(), born: date().notNull(), asleep: boolean() },
})
const calls = defineTable({
  name: 'crm.calls',
  key: 'id',
  columns: { id: bigint().notNull(), company_id: bigint(), at: timestamp(), day: date(), note: text() },
})
const company = defineEntity({ name: 'company', table: companies })
const made = company.many(calls, { foreignKey: 'company_id' })

describe('what is refused', () => {
  test.each([
    [
      'a length that is none',
      () => made.window('a month' as Duration, { on: 'at' }),
      "'a month' must be a whole number",
    ],
    ['a part of a day', () => made.window('1.5d', { on: 'at' }), "'1.5d' must be a whole number"],
    ['a length below nothing', () => made.window('-3d', { on: 'at' }), "'-3d' must be a whole number"],
    ['a length of nothing', () => made.window('0d', { on: 'at' }), "'0d' must be longer than nothing"],
    ['more than a hundred years', () => made.window('40000d', { on: 'at' }), 'at most 36525d'],
    ['a column there is not', () => made.window('3d', { on: 'when' as 'at' }), "has no column 'when'"],
    ['a column that is no time', () => made.window('3d', { on: 'note' }), "'crm.calls.note' is text"],
    ['a zone there is not', () => made.window('3d', { on: 'at', zone: 'Norway/Oslo' }), "'Norway/Oslo' is not a time"],
    ['a resolution that does not divide', () => made.window('7d', { on: 'at', resolution: '2d' }), 'evenly'],
    ['a resolution beyond the length', () => made.window('1d', { on: 'at', resolution: '2d' }), 'evenly'],
    ['hours of a calendar', () => made.window('36h', { on: 'at', zone: 'UTC' }), "'36h' must be whole days"],
    [
      'hours as the step of a calendar',
      () => made.window('2d', { on: 'at', zone: 'UTC', resolution: '1h' }),
      "'1h' must be whole days",
    ],
    ['hours of dates', () => made.window('36h', { on: 'day' }), "'36h' must be whole days"],
    ['a step of dates', () => made.window('3d', { on: 'day', resolution: '1d' }), 'takes no resolution'],
    [
      'more slack than window',
      () => made.window('1h', { on: 'at', slack: '2h' }),
      'not be longer than what it spreads',
    ],
    ['slack that is none', () => made.window('1h', { on: 'at', slack: 'x' as Duration }), 'Slack of the window'],
    ['days since a name', () => daysSince(company.columns.name), 'needs a timestamp or a date; it is text'],
    ['days in no zone', () => daysSince(company.columns.seen, { zone: 'Mars' }), "'Mars' is not a time zone"],
    ['more slack than a day', () => daysSince(company.columns.seen, { slack: '25h' }), 'not be longer'],
    ['a period of nothing', () => refreshEvery('0s'), 'longer than nothing'],
    ['more slack than period', () => refreshEvery('1h', { slack: '61m' }), 'not be longer'],
  ])('%s', (_, declare, message) => {
    expect(declare).toThrow(TypeError)
    expect(declare).toThrow(message)
  })

  test('days since a column of another table', () => {
    const other = defineEntity({ name: 'call', table: calls })
    const declare = () =>
      defineFeature({
        entity: company,
        name: 'age',
        version: 1,
        type: 'integer',
        description: '',
        inputs: { age: daysSince(other.columns.at) },
        compute: ({ age }) => age,
      })
    expect(declare).toThrow("Input 'age' of feature 'age' is a column of crm.calls")
  })
})

test('what compute receives is typed from the declarations', () => {
  defineFeature({
    entity: company,
    name: 'typed',
    version: 1,
    type: 'number',
    description: '',
    inputs: {
      count: made.window('30d', { on: 'at' }).count({ where: { note: 'call' } }),
      last: made.window('3d', { on: 'day' }).latest('note', { orderBy: 'at' }),
      quiet: daysSince(company.columns.seen),
      age: daysSince(company.columns.born),
      began: refreshEvery('6h'),
    },
    compute: (inputs) => {
      expectTypeOf(inputs.count).toEqualTypeOf<number>()
      expectTypeOf(inputs.last).toEqualTypeOf<string | null>()
      expectTypeOf(inputs.quiet).toEqualTypeOf<number | null>()
      expectTypeOf(inputs.age).toEqualTypeOf<number>()
      expectTypeOf(inputs.began).toEqualTypeOf<number>()
      return inputs.began
    },
  })
  // @ts-expect-error a misspelt column
  expect(() => made.window('30d', { on: 'when' })).toThrow(TypeError)
  // @ts-expect-error no unit
  expect(() => made.window('30', { on: 'at' })).toThrow(TypeError)
  // @ts-expect-error rows of a window lead nowhere
  expect(made.window('30d', { on: 'at' }).many).toBeUndefined()
  // @ts-expect-error days since a truth
  expect(() => daysSince(company.columns.asleep)).toThrow(TypeError)
})

test('a window is said in words', () => {
  const texts = (['1h', '2d', '14d'] as const).flatMap((length) => [
    windowText(defineWindow(calls, length, { on: 'at' })),
    windowText(defineWindow(calls, length, { on: 'at', resolution: '30m' })),
  ])
  expect(texts.slice(0, 3)).toEqual(['last 1h of at', 'last 1h of at by 30m', 'last 2d of at'])
  expect(windowText(defineWindow(calls, '14d', { on: 'at', zone: 'Europe/Oslo', resolution: '7d' }))).toBe(
    'last 14d of at by 7d, Europe/Oslo',
  )
  expect(windowText(defineWindow(calls, '2w', { on: 'day' }))).toBe('last 14d of day, UTC')
})

/** `at` in microseconds, or a day. */
function isIn(window: Window, at: bigint, clockMs: number): boolean {
  const clock = BigInt(clockMs) * 1_000n
  switch (window.kind) {
    case 'exact':
      return at > clock - BigInt(window.lengthMs) * 1_000n && at <= clock
    case 'hops':
      return at >= BigInt(Math.floor((clockMs - window.lengthMs) / window.hopMs) * window.hopMs) * 1_000n && at <= clock
    case 'days': {
      const days = [dayAt(Number(at) / 1_000, window.zone), dayAt(clockMs, window.zone)] as const
      const first = Math.floor((days[1] - window.days) / window.hopDays) * window.hopDays
      return days[0] >= first && at <= clock
    }
    case 'dates':
      return Number(at) > dayAt(clockMs, window.zone) - window.days && Number(at) <= dayAt(clockMs, window.zone)
  }
}

const zone = fc.constantFrom(
  'UTC',
  'Europe/Oslo',
  'America/Sao_Paulo',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/St_Johns',
)
const window: fc.Arbitrary<Window> = fc.oneof(
  fc.constantFrom<Duration>('1s', '90s', '36h', '7d', '30d').map((length) => defineWindow(calls, length, { on: 'at' })),
  fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom<Duration>('5m', '1h', '1d')).map(([hops, resolution]) =>
    defineWindow(calls, `${hops * Number.parseInt(resolution, 10)}${resolution.slice(-1)}` as Duration, {
      on: 'at',
      resolution,
    }),
  ),
  fc
    .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 7 }), zone)
    .map(([hops, hop, zone]) => defineWindow(calls, `${hops * hop}d`, { on: 'at', resolution: `${hop}d`, zone })),
  fc
    .tuple(fc.integer({ min: 1, max: 40 }), zone)
    .map(([days, zone]) => defineWindow(calls, `${days}d`, { on: 'day', zone })),
)

/** Around midnights of days on which clocks change, and anywhere. */
const instantMs = fc.oneof(
  fc.integer({ min: Date.parse('1969-01-01'), max: Date.parse('2040-01-01') }),
  fc
    .tuple(
      fc.constantFrom('2024-03-31', '2024-10-27', '2018-11-04', '2024-04-07', '2011-12-30', '2010-11-07', '2024-02-29'),
      fc.integer({ min: -30, max: 30 }),
      fc.constantFrom(0, 1, -1, 1_800_000, 1_799_999, 60_000, -60_001),
    )
    .map(([day, hours, ms]) => Date.parse(day) + hours * 3_600_000 + ms),
)

test('a row is in from entersAt until leavesAt, to the millisecond, and never again', () => {
  fc.assert(
    fc.property(
      window,
      instantMs,
      fc.integer({ min: 0, max: 999 }),
      fc.nat(90 * DAY_MS),
      (given, ms, micros, later) => {
        const at =
          given.kind === 'dates'
            ? BigInt(dayOfDate(dateOfDay(Math.floor(ms / DAY_MS))))
            : BigInt(ms) * 1_000n + BigInt(micros)
        const [enters, leaves] = [entersAt(given, at), leavesAt(given, at)]
        expect(isIn(given, at, enters - 1)).toBe(false)
        expect(isIn(given, at, leaves)).toBe(false)
        expect(isIn(given, at, leaves + later)).toBe(false)
        // Of a day that its zone left out nothing was ever seen.
        if (enters === leaves) return
        expect(leaves).toBeGreaterThan(enters)
        expect(isIn(given, at, enters)).toBe(true)
        expect(isIn(given, at, leaves - 1)).toBe(true)
        expect(isIn(given, at, enters + (later % (leaves - enters)))).toBe(true)
      },
    ),
    { numRuns: 3_000 },
  )
})

test('an entity’s clock is late by its own share of the slack, the same for all time, and all shares come', () => {
  const late = Array.from({ length: 10_000 }, (_, key) => latenessMs('company', String(key), 10_000))
  expect(late).toEqual(Array.from({ length: 10_000 }, (_, key) => latenessMs('company', String(key), 10_000)))
  expect(late.every((ms) => Number.isInteger(ms) && ms >= 0 && ms < 10_000)).toBe(true)
  // As even as chance: of 10 parts of 1,000 each, none is off by a fifth.
  for (let part = 0; part < 10; part += 1) {
    const count = late.filter((ms) => Math.floor(ms / 1_000) === part).length
    expect(Math.abs(count - 1_000)).toBeLessThan(200)
  }
  expect(latenessMs('company', '1', 0)).toBe(0)
  expect(latenessMs('company', '1', 10_000)).not.toBe(latenessMs('deal', '1', 10_000))
})
