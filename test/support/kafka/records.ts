/** Records as capture publishes them, made by hand. */
import type { KafkaRecord } from '../../../src/log/kafka/decode.ts'

/** The test database's very first transaction: over long ago. */
const XID = '3'

export interface MadeRecord {
  readonly key: string
  readonly value: string | null
  readonly headers: Readonly<Record<string, string>>
}

const positionHeaders = (lsn: number, index: number) => ({
  'rescore.position': `${lsn.toString(16).padStart(16, '0')}/${index}`,
  'rescore.xid': XID,
})

/** A row of public.t, inserted. */
export function rowRecord(lsn: number, index = 0, id = `${lsn}`): MadeRecord {
  const source = { schema: 'public', table: 't', txId: 3, lsn, ts_ms: lsn }
  return {
    key: JSON.stringify({ id }),
    value: JSON.stringify({ before: null, after: { id }, source, op: 'c', ts_ms: lsn }),
    headers: positionHeaders(lsn, index),
  }
}

export function barrierRecord(lsn: number, content = 'somebody waits'): MadeRecord {
  return {
    key: JSON.stringify({ 'rescore.barrier': content }),
    value: null,
    headers: { ...positionHeaders(lsn, 0), 'rescore.barrier': content },
  }
}

/** As a consumer sees them. */
export function read(made: readonly MadeRecord[], firstOffset = 0): readonly KafkaRecord[] {
  return made.map(({ key, value, headers }, place) => ({
    offset: BigInt(firstOffset + place),
    timestampMs: 1_000,
    key: Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers,
  }))
}
