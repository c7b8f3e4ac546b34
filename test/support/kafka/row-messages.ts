/** Row messages of pgoutput made by hand, and an encoder for the relation they are of. */
import { RowEncoder } from '../../../src/log/kafka/encode.ts'
import { DEFAULT_TYPES, type EncodedRelation, type EncodeTypes } from '../../../src/log/kafka/encode-types.ts'

type Value = string | null | undefined

const TRANSACTION = {
  xid: 731,
  commitLsn: 0x1_0000_0abcn,
  committedMicros: 1_767_225_600_123_456n,
  previousEndLsn: 42n,
}
const SOURCE = { prefix: 'crm', database: 'shop', system: '7000', version: '1' }
const NOW = 1_767_225_601_000
export const RELID = 16_400

export function relation(
  columns: readonly (readonly [name: string, oid: number, typmod?: number])[],
  key: readonly string[],
) {
  return {
    schema: 'public',
    name: 't',
    key,
    columns: columns.map(([name, oid, typmod = -1]) => ({ name, oid, typmod, elementOid: 0, isIdentity: true })),
  } satisfies EncodedRelation
}

export const int16 = (value: number) => Buffer.from([value >> 8, value & 255])
export const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

export function tuple(values: readonly Value[]): Buffer {
  const parts = values.map((value) => {
    if (value === null) return Buffer.from('n')
    if (value === undefined) return Buffer.from('u')
    const text = Buffer.from(value)
    return Buffer.concat([Buffer.from('t'), int32(text.length), text])
  })
  return Buffer.concat([int16(values.length), ...parts])
}

export const insert = (values: readonly Value[]) =>
  Buffer.concat([Buffer.from('I'), int32(RELID), Buffer.from('N'), tuple(values)])
export const update = (old: readonly Value[], values: readonly Value[], marker = 'O') =>
  Buffer.concat([Buffer.from('U'), int32(RELID), Buffer.from(marker), tuple(old), Buffer.from('N'), tuple(values)])
export const remove = (old: readonly Value[], marker = 'O') =>
  Buffer.concat([Buffer.from('D'), int32(RELID), Buffer.from(marker), tuple(old)])

export const textOf = ({ bytes, at }: { readonly bytes: Buffer; readonly at: number }) => bytes.toString('utf8', 0, at)

export function encoderOf(described: EncodedRelation, types: EncodeTypes = DEFAULT_TYPES) {
  const encoder = new RowEncoder(described, SOURCE, types)
  const encode = (message: Buffer) => encoder.row(message, TRANSACTION, 1, 2_748, NOW)
  return { encoder, encode }
}
