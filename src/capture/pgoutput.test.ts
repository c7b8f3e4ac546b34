import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isRescoreError } from '../errors.ts'
import type { Row } from '../log/log.ts'
import { type Decoded, PgoutputDecoder } from './pgoutput.ts'

const u8 = (value: number) => Buffer.from([value])
const u16 = (value: number) => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}
const name = (text: string) => Buffer.from(`${text}\0`)
const join = (...parts: readonly Buffer[]) => Buffer.concat(parts)

type Value = string | null | 'unchanged'
const tuple = (...values: readonly Value[]) =>
  join(
    u16(values.length),
    ...values.map((value) => {
      if (value === null) return Buffer.from('n')
      if (value === 'unchanged') return Buffer.from('u')
      return join(Buffer.from('t'), u32(Buffer.byteLength(value)), Buffer.from(value))
    }),
  )

const MICROS = 820_454_400_123_456n
const begin = (lsn: bigint, xid = 7) => join(Buffer.from('B'), u64(lsn), u64(MICROS), u32(xid))
const commit = (lsn: bigint, end: bigint) => join(Buffer.from('C'), u8(0), u64(lsn), u64(end), u64(MICROS))
const relation = (id: number, columns: readonly string[], identity = 'f') =>
  join(
    Buffer.from('R'),
    u32(id),
    name('public'),
    name('t'),
    Buffer.from(identity),
    u16(columns.length),
    ...columns.map((column, place) => join(u8(place === 0 ? 1 : 0), name(column), u32(25), u32(0xffff_ffff))),
  )
const insert = (id: number, row: Buffer) => join(Buffer.from('I'), u32(id), Buffer.from('N'), row)
const update = (id: number, old: Buffer, row: Buffer) => join(Buffer.from('U'), u32(id), old, Buffer.from('N'), row)
const remove = (id: number, old: Buffer) => join(Buffer.from('D'), u32(id), old)
const whole = (row: Buffer) => join(Buffer.from('O'), row)
const key = (row: Buffer) => join(Buffer.from('K'), row)
const truncate = (...ids: readonly number[]) => join(Buffer.from('T'), u32(ids.length), u8(0), ...ids.map(u32))
const message = (isTransactional: boolean, content: string) =>
  join(
    Buffer.from('M'),
    u8(isTransactional ? 1 : 0),
    u64(1n),
    name('p'),
    u32(Buffer.byteLength(content)),
    Buffer.from(content),
  )

function opened(): PgoutputDecoder {
  const decoder = new PgoutputDecoder()
  decoder.decode(relation(1, ['id', 'big']))
  decoder.decode(begin(100n))
  return decoder
}

function only(decoded: Decoded) {
  if (decoded.kind !== 'entries') throw new Error(`Decoded as ${decoded.kind}.`)
  return decoded.entries[0]
}

const decodeError = expect.objectContaining({ code: 'CAPTURE_DECODE', fate: 'stop' })

test('a transaction: positions count rows and messages, the commit carries the exact end, times keep microseconds', () => {
  const decoder = opened()
  const committedAtMs = 946_684_800_000 + 820_454_400_123.456
  expect(only(decoder.decode(insert(1, tuple('1', null))))).toEqual({
    kind: 'change',
    op: 'insert',
    table: 'public.t',
    position: { lsn: 100n, index: 0 },
    xid: 7,
    committedAtMs,
    before: null,
    after: { id: '1', big: null },
    changed: null,
  })
  expect(decoder.decode(message(false, 'outside'))).toEqual({ kind: 'none' })
  expect(only(decoder.decode(message(true, 'é')))).toMatchObject({
    kind: 'barrier',
    content: 'é',
    position: { index: 1 },
  })
  expect(only(decoder.decode(remove(1, whole(tuple('1', '')))))).toMatchObject({
    position: { index: 2 },
    before: { id: '1', big: '' },
  })
  expect(decoder.isInTransaction).toBe(true)
  expect(decoder.decode(commit(100n, 148n))).toEqual({ kind: 'commit', lsn: 100n, endLsn: 148n, committedAtMs })
  expect(decoder.isInTransaction).toBe(false)
})

test('an unchanged value is taken from the old row, or left out, and null stays null', () => {
  const decoder = opened()
  const full = decoder.decode(update(1, whole(tuple('1', 'long')), tuple('2', 'unchanged')))
  expect(only(full)).toMatchObject({ after: { id: '2', big: 'long' }, changed: ['id'] })
  const byKey = only(decoder.decode(update(1, key(tuple('1', null)), tuple('2', 'unchanged'))))
  expect(byKey).toMatchObject({ before: { id: '1' }, after: { id: '2' }, changed: null })
  expect(byKey).not.toHaveProperty('before.big')
  expect(byKey).not.toHaveProperty('after.big')
})

test('what is kept does not change when the buffer is used again', () => {
  const decoder = opened()
  const buffer = insert(1, tuple('1', 'kept'))
  const entry = only(decoder.decode(buffer))
  buffer.fill(0x58)
  expect(entry).toMatchObject({ table: 'public.t', after: { id: '1', big: 'kept' } })
})

test.each<[string, readonly Buffer[]]>([
  ['an empty message', [Buffer.alloc(0)]],
  ['an unknown kind', [Buffer.from('Z')]],
  ['a row outside any transaction', [commit(100n, 148n), insert(1, tuple('1', '2'))]],
  ['a truncate outside any transaction', [commit(100n, 148n), truncate(1)]],
  ['a commit outside any transaction', [commit(100n, 148n), commit(100n, 148n)]],
  ['a commit of another transaction', [commit(101n, 148n)]],
  ['a commit that ends before it begins', [commit(100n, 100n)]],
  ['a transaction inside another', [begin(200n)]],
  ['a table that was not described', [insert(2, tuple('1', '2'))]],
  ['a row with a column too few', [insert(1, tuple('1'))]],
  ['a row with a column too many', [insert(1, tuple('1', '2', '3'))]],
  ['a column of unknown kind', [insert(1, join(u16(2), Buffer.from('xn')))]],
  [
    'a value longer than its message',
    [insert(1, join(u16(2), Buffer.from('t'), u32(4_000_000_000), Buffer.from('1')))],
  ],
  ['a message cut inside a number', [begin(100n).subarray(0, 12)]],
  ['a row cut before its last value', [insert(1, tuple('1', 'abc')).subarray(0, -2)]],
  ['bytes too many', [join(insert(1, tuple('1', '2')), u8(0))]],
  ['an insert without its row', [join(Buffer.from('I'), u32(1), whole(tuple('1', '2')))]],
  ['an update without its new row', [join(Buffer.from('U'), u32(1), whole(tuple('1', '2')), Buffer.from('X'))]],
  ['a delete without its key', [join(Buffer.from('D'), u32(1), Buffer.from('N'), tuple('1', '2'))]],
  ['a name without its end', [join(Buffer.from('R'), u32(9), Buffer.from('public'))]],
])('malformed: %s is CAPTURE_DECODE', (_what, messages) => {
  const decoder = opened()
  expect(() => {
    for (const each of messages) decoder.decode(each)
  }).toThrow(decodeError)
})

test('whatever the bytes, decoding yields what they say or throws CAPTURE_DECODE', () => {
  const kinds = fc.constantFrom(...Buffer.from('BCRIUDTMOYZ'))
  const noise = fc
    .tuple(kinds, fc.uint8Array({ maxLength: 60 }))
    .map(([kind, rest]) => join(u8(kind), Buffer.from(rest)))
  const valid = [
    insert(1, tuple('1', 'ab')),
    update(1, whole(tuple('1', 'a')), tuple('1', 'unchanged')),
    truncate(1),
    message(true, 'x'),
  ]
  // One byte changed or cut off: closer to what a bug would send than noise is.
  const damaged = fc
    .tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(255), fc.boolean())
    .map(([bytes, place, value, isCut]) => {
      const copy = Buffer.from(bytes)
      copy[place % copy.length] = value
      return isCut ? copy.subarray(0, place % copy.length) : copy
    })
  fc.assert(
    fc.property(fc.array(fc.oneof(noise, damaged), { maxLength: 8 }), (messages) => {
      const decoder = opened()
      for (const each of messages) {
        try {
          decoder.decode(each)
        } catch (error) {
          if (!isRescoreError(error) || error.code !== 'CAPTURE_DECODE') throw error
          return
        }
      }
    }),
    { numRuns: 2_000 },
  )
})

test('any row comes back as it was written', () => {
  const value = fc.oneof(
    fc.constant(null),
    fc.string({ unit: 'binary' }).filter((text) => text !== 'unchanged' && !text.includes('\0')),
  )
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), (values) => {
      const columns = values.map((_, place) => `c${place}`)
      const decoder = new PgoutputDecoder()
      decoder.decode(relation(1, columns))
      decoder.decode(begin(1n))
      const entry = only(decoder.decode(insert(1, tuple(...values))))
      expect(entry).toMatchObject({
        after: Object.fromEntries(columns.map((column, place) => [column, values[place]])),
      })
    }),
    { numRuns: 300 },
  )
})

test('what nobody reads is left out of the rows, and is still among what changed', () => {
  const value = fc.constantFrom<Value>(null, '', 'a', 'b', 'é', 'long '.repeat(30), `${'long '.repeat(29)}LONG `)
  const columns = ['a', 'b', 'c']
  const rows = fc.record({
    before: fc.tuple(value, value, value),
    after: fc.tuple(...columns.map(() => fc.oneof(value, fc.constant<Value>('unchanged')))),
    read: fc.subarray(columns),
  })
  const decoded = (decoder: PgoutputDecoder, message: Buffer) => {
    decoder.decode(relation(1, columns))
    decoder.decode(begin(1n))
    const found = decoder.decode(message)
    const entry = only(found)
    if (entry?.kind !== 'change' || found.kind !== 'entries') throw new Error('Not a change.')
    return { ...entry, bytes: found.bytes }
  }
  const pick = (row: Row | null, names: readonly string[]) =>
    Object.fromEntries(Object.entries(row ?? {}).filter(([column]) => names.includes(column)))
  fc.assert(
    fc.property(rows, ({ before, after, read }) => {
      const message = update(1, whole(tuple(...before)), tuple(...after))
      const all = decoded(new PgoutputDecoder(), message)
      expect(all.after).toEqual(
        Object.fromEntries(columns.map((name, at) => [name, after[at] === 'unchanged' ? before[at] : after[at]])),
      )
      expect(all.changed).toEqual(columns.filter((name) => all.before?.[name] !== all.after?.[name]))
      const some = decoded(new PgoutputDecoder(new Map([['public.t', new Set(read)]])), message)
      expect(some).toMatchObject({ changed: all.changed, position: all.position, op: 'update' })
      expect([some.before, some.after]).toEqual([pick(all.before, read), pick(all.after, read)])
      expect(some.bytes).toBeLessThanOrEqual(all.bytes)
    }),
    { numRuns: 500 },
  )
})
