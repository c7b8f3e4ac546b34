/** What is encoded for Kafka, against what the decoder of the embedded log reads of the same bytes. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  encoderOf,
  insert,
  int16,
  int32,
  RELID,
  relation,
  remove,
  textOf,
  update,
} from '../../../test/support/kafka/row-messages.ts'
import { PgoutputDecoder } from '../../capture/pgoutput.ts'

/** PostgreSQL's text of a column, read back from the JSON. */
const BACK: Readonly<Record<number, (value: unknown) => string>> = {
  16: (value) => (value === true ? 't' : 'f'),
  20: String,
  25: String,
  1700: String,
  3802: String,
  701: String,
  17: (value) => `\\x${Buffer.from(String(value), 'base64').toString('hex')}`,
  1082: (value) => new Date(Number(value) * 86_400_000).toISOString().slice(0, 10),
  1184: (value) =>
    `${String(value)
      .replace('T', ' ')
      .replace(/(\.0+)?Z/, '')}+00`,
}

const text = fc.string({ unit: 'binary', maxLength: 40 }).map((drawn) => drawn.replaceAll('\0', '').toWellFormed())
const day = fc
  .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString())
const DRAWN: readonly (readonly [oid: number, values: fc.Arbitrary<string>])[] = [
  [16, fc.constantFrom('t', 'f')],
  [20, fc.maxSafeInteger().map(String)],
  [25, text],
  [1700, fc.tuple(fc.bigInt(), fc.nat(999)).map(([whole, rest]) => `${whole}.${String(rest).padStart(3, '0')}`)],
  [3802, fc.jsonValue().map((value) => JSON.stringify(value))],
  [701, fc.constantFrom('0.5', '-12.25', 'NaN', 'Infinity', '-Infinity', '1234567')],
  [17, fc.uint8Array({ maxLength: 20 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)],
  [1082, day.map((iso) => iso.slice(0, 10))],
  [1184, day.map((iso) => `${iso.slice(0, 10)} ${iso.slice(11, 19)}+00`)],
]

test('what the JSON says is what the decoder of the embedded log reads, for rows of many types', () => {
  const described = relation(
    DRAWN.map(([oid], place) => [`c"${place}`, oid]),
    ['c"1'],
  )
  const { encoder, encode } = encoderOf(described)
  const decoder = new PgoutputDecoder()
  const names = described.columns.map(({ name }) => name)
  const columns = described.columns.map(({ name, oid }) =>
    Buffer.concat([Buffer.from([1]), Buffer.from(`${name}\0`), int32(oid), int32(-1)]),
  )
  decoder.decode(
    Buffer.concat([Buffer.from('R'), int32(RELID), Buffer.from('public\0t\0f'), int16(columns.length), ...columns]),
  )
  decoder.decode(Buffer.concat([Buffer.from('B'), Buffer.alloc(16), int32(731)]))
  const row = fc.tuple(...DRAWN.map(([, values]) => fc.option(values, { freq: 6 })))
  const back = (image: Readonly<Record<string, unknown>> | null) =>
    image &&
    Object.fromEntries(
      names.map((name, place) => {
        const value = image[name]
        return [name, value === null ? null : BACK[described.columns[place]?.oid ?? 0]?.(value)]
      }),
    )
  fc.assert(
    fc.property(row, row, fc.constantFrom('I', 'U', 'D'), (old, now, kind) => {
      const same = now.with(1, old[1] ?? null)
      const message = kind === 'I' ? insert(now) : kind === 'U' ? update(old, same) : remove(old)
      encode(message)
      const value = JSON.parse(textOf(encoder.value))
      const decoded = decoder.decode(message)
      const [change] = decoded.kind === 'entries' ? decoded.entries : []
      if (change?.kind !== 'change') throw new Error('no change was read')
      expect([back(value.before), back(value.after)]).toEqual([change.before, change.after])
    }),
    { numRuns: 300 },
  )
})
