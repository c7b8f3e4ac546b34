import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bigint, boolean, defineTable, json, number, text, timestamp } from '../../src/define/index.ts'
import { coerceRecord, coerceValue, propertiesOf } from './coerce.ts'

const table = defineTable({
  name: 'hubspot.things',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    name: text(),
    size: number(),
    hiring: boolean(),
    since: timestamp(),
    raw: json(),
  },
})

describe('coerceValue', () => {
  it.each([
    ['number', '12.50', '12.50'],
    ['number', '9007199254740993', '9007199254740993'],
    ['number', '1e3', '1e3'],
    ['bigint', '9223372036854775807', '9223372036854775807'],
    ['integer', '42.0', '42'],
    ['boolean', 'True', true],
    ['boolean', 'false', false],
    ['timestamp', '2026-03-01T10:00:00.123456Z', '2026-03-01T10:00:00.123456Z'],
    ['timestamp', '1767225600000', '2026-01-01T00:00:00.000Z'],
    ['timestamp', '2024-02-29', '2024-02-29T00:00:00Z'],
    ['date', '1767225600000', '2026-01-01'],
    ['text', 'a\0b', 'a\uFFFDb'],
    ['text', 'half \ud83d', 'half \uFFFD'],
    ['text', '🚀', '🚀'],
  ] as const)('%s takes %j as %j', (kind, value, expected) => {
    expect(coerceValue(kind, value)).toStrictEqual(expected)
  })

  it.each([
    ['number', 'N/A'],
    ['number', 'Infinity'],
    ['number', '0x10'],
    ['integer', '2147483648'],
    ['integer', '1.5'],
    ['bigint', '9223372036854775808'],
    ['boolean', 'yes'],
    ['timestamp', '2026-02-30'],
    ['timestamp', '2026-02-30T00:00:00Z'],
    ['timestamp', '999999999999999'],
    ['timestamp', 'soon'],
    ['json', '{'],
  ] as const)('%s does not take %j', (kind, value) => {
    expect(coerceValue(kind, value)).toBeUndefined()
  })

  it('takes a date exactly when the calendar has it', () => {
    const part = (max: number, digits: number) =>
      fc.integer({ min: 0, max }).map((count) => String(count).padStart(digits, '0'))
    const dates = fc.tuple(part(9_999, 4), part(14, 2), part(33, 2)).map((parts) => parts.join('-'))
    fc.assert(
      fc.property(dates, (date) => {
        const read = new Date(`${date}T00:00:00Z`)
        const exists = !Number.isNaN(read.getTime()) && read.toISOString().startsWith(date) && date >= '0001'
        expect(coerceValue('date', date)).toBe(exists ? date : undefined)
      }),
      { numRuns: 2_000 },
    )
  })

  it.each(['', null, undefined])('takes %j as null for every kind', (value) => {
    for (const kind of ['text', 'number', 'boolean', 'timestamp', 'json'] as const) {
      expect(coerceValue(kind, value)).toBeNull()
    }
  })
})

describe('coerceRecord', () => {
  it('keeps what does not fit in raw, and clears what was not answered', () => {
    expect(coerceRecord(table, '7', { name: 'Acme', size: 'many', hiring: 'true' })).toStrictEqual({
      id: '7',
      name: 'Acme',
      size: null,
      hiring: true,
      since: null,
      raw: { size: 'many' },
    })
  })

  it('writes NUL out in raw, which jsonb could not hold', () => {
    expect(coerceRecord(table, '7', { name: 'a\0b' }).raw).toStrictEqual({ name: 'a\\u0000b' })
  })

  it('never throws and loses no value: each is in its column or in raw', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('name', 'size', 'hiring', 'since'), fc.string({ unit: 'binary' })),
        (values) => {
          const row = coerceRecord(table, '1', values)
          for (const [property, value] of Object.entries(values)) {
            const kept = row[property] !== null || (row.raw !== null && Object.hasOwn(Object(row.raw), property))
            expect(kept || value === '').toBe(true)
          }
        },
      ),
    )
  })

  it('asks for every column but id and raw', () => {
    expect(propertiesOf(table)).toStrictEqual(['name', 'size', 'hiring', 'since'])
  })
})
