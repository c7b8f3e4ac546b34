/**
 * Days of calendars against the clocks of the zone, as Intl shows them: the one who knows nothing of our arithmetic.
 * Dates with a past of their own: leap days, month ends, both changeovers, midnights that are not or are twice, half an
 * hour, a day left out.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assertZone, dateOfDay, dayAt, dayOfDate, startOfDay } from './calendar.ts'
import { DAY_MS } from './duration.ts'

const ZONES = [
  'Europe/Oslo',
  'America/New_York',
  'America/Sao_Paulo',
  'America/Havana',
  'America/St_Johns',
  'Asia/Beirut',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Africa/Casablanca',
  'Antarctica/Troll',
  'UTC',
]

const formats = new Map<string, Intl.DateTimeFormat>()

/** The date that clocks of the zone show, as a day. */
function shownDay(ms: number, zone: string): number {
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat('en', {
      timeZone: zone,
      calendar: 'iso8601',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
    })
  formats.set(zone, format)
  const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]))
  return Date.UTC(part.year ?? 0, (part.month ?? 0) - 1, part.day) / DAY_MS
}

const at = (text: string) => Date.parse(text)
const startOf = (date: string, zone: string) => new Date(startOfDay(dayOfDate(date), zone)).toISOString()
const hours = (date: string, zone: string) => {
  const day = dayOfDate(date)
  return (startOfDay(day + 1, zone) - startOfDay(day, zone)) / 3_600_000
}

test.each([
  ['Europe/Oslo', '2024-03-31', 23],
  ['Europe/Oslo', '2024-10-27', 25],
  ['America/New_York', '2024-03-10', 23],
  ['America/New_York', '2024-11-03', 25],
  ['Australia/Lord_Howe', '2024-10-06', 23.5],
  ['Australia/Lord_Howe', '2024-04-07', 24.5],
  ['America/Sao_Paulo', '2018-11-04', 23],
  ['Asia/Beirut', '2024-03-31', 23],
  ['America/Havana', '2024-11-03', 25],
  ['Pacific/Apia', '2011-12-30', 0],
  ['Pacific/Apia', '2011-12-29', 24],
  ['UTC', '2024-03-31', 24],
])('%s: %s has %d hours', (zone, date, expected) => {
  expect(hours(date, zone)).toBe(expected)
})

test('a day begins after a midnight that does not exist, at the first of two, and with the next when it is left out', () => {
  expect(startOf('2018-11-04', 'America/Sao_Paulo')).toBe('2018-11-04T03:00:00.000Z')
  expect(startOf('2024-03-31', 'Asia/Beirut')).toBe('2024-03-30T22:00:00.000Z')
  expect(startOf('2024-11-03', 'America/Havana')).toBe('2024-11-03T04:00:00.000Z')
  expect(startOf('2011-12-30', 'Pacific/Apia')).toBe('2011-12-30T10:00:00.000Z')
  expect(startOf('2011-12-31', 'Pacific/Apia')).toBe('2011-12-30T10:00:00.000Z')
  expect(dateOfDay(dayAt(at('2011-12-30T09:59:59.999Z'), 'Pacific/Apia'))).toBe('2011-12-29')
  expect(dateOfDay(dayAt(at('2011-12-30T10:00:00Z'), 'Pacific/Apia'))).toBe('2011-12-31')
})

test('where clocks go back over midnight the day that has begun goes on', () => {
  // 2010-11-07 00:01 in St. John's, then 23:01 of the 6th once more.
  const begun = at('2010-11-07T02:30:00Z')
  expect(startOf('2010-11-07', 'America/St_Johns')).toBe('2010-11-07T02:30:00.000Z')
  expect(dateOfDay(shownDay(begun + 30 * 60_000, 'America/St_Johns'))).toBe('2010-11-06')
  expect(dateOfDay(dayAt(begun + 30 * 60_000, 'America/St_Johns'))).toBe('2010-11-07')
})

test.each([
  ['2024-02-28', '2024-03-01', 2],
  ['2000-02-28', '2000-03-01', 2],
  ['2100-02-28', '2100-03-01', 1],
  ['2023-02-28', '2023-03-01', 1],
  ['2024-04-30', '2024-05-01', 1],
  ['2024-12-31', '2025-01-01', 1],
  ['2023-02-28', '2024-02-29', 366],
  ['2024-02-29', '2025-02-28', 365],
])('from %s to %s it is %d days', (from, to, days) => {
  expect(dayOfDate(to) - dayOfDate(from)).toBe(days)
  expect([from, to].map((date) => dateOfDay(dayOfDate(date)))).toEqual([from, to])
})

test('dates that only PostgreSQL knows are days too', () => {
  expect(dayOfDate('1970-01-01')).toBe(0)
  expect(dayOfDate('0001-01-01') - dayOfDate('0001-12-31 BC')).toBe(1)
  expect(dayOfDate('5874897-12-31')).toBe(2_145_042_905)
  expect([dayOfDate('infinity'), dayOfDate('-infinity')]).toEqual([Infinity, -Infinity])
  expect(() => dayOfDate('31.12.2024')).toThrow(TypeError)
})

test('beyond the years that zones are known for, days are those of UTC, and infinite stays infinite', () => {
  expect(dayAt(9.2e15, 'Europe/Oslo')).toBe(Math.floor(9.2e15 / DAY_MS))
  expect(dayAt(Infinity, 'Europe/Oslo')).toBe(Infinity)
  expect(dayAt(-Infinity, 'UTC')).toBe(-Infinity)
})

test('what is no zone is refused by its name', () => {
  expect(() => assertZone('Zone of x', 'Europe/Olso')).toThrow("Zone of x 'Europe/Olso' is not a time zone")
  expect(() => assertZone('Zone', '')).toThrow(TypeError)
})

const zone = fc.constantFrom(...ZONES)
/** Near a beginning of a day, and anywhere. */
const instant = fc.oneof(
  fc.integer({ min: at('1890-01-01'), max: at('2050-01-01') }),
  fc
    .tuple(
      fc.integer({ min: dayOfDate('1975-01-01'), max: dayOfDate('2037-12-31') }),
      fc.integer({ min: -90, max: 90 }),
    )
    .map(([day, minutes]) => day * DAY_MS + minutes * 60_000),
)

test('the day of an instant is the greatest date that clocks have shown so far', () => {
  fc.assert(
    fc.property(zone, instant, (where, ms) => {
      const day = dayAt(ms, where)
      // Half a day back is more than any zone's clocks went back over midnight in these years.
      const shown = Math.max(
        ...Array.from({ length: 25 }, (_, halfHours) => shownDay(ms - halfHours * 1_800_000, where)),
      )
      expect(day).toBe(shown)
    }),
    { numRuns: 1_000 },
  )
})

test('a day has begun exactly when the day of the instant is it or a later one; the millisecond before it has not', () => {
  fc.assert(
    fc.property(zone, instant, fc.integer({ min: -2, max: 2 }), (where, ms, days) => {
      const day = dayAt(ms, where) + days
      const start = startOfDay(day, where)
      expect(start <= ms).toBe(day <= dayAt(ms, where))
      expect(dayAt(start, where)).toBeGreaterThanOrEqual(day)
      expect(dayAt(start - 1, where)).toBeLessThan(day)
      expect(shownDay(start, where)).toBe(dayAt(start, where))
    }),
    { numRuns: 2_000 },
  )
})
