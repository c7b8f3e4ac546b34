/** The transaction whose rows are being published: what its beginning says, and the headers its records share. */
import { ByteWriter } from '../log/kafka/encode-bytes.ts'
import { type EnvelopeTransaction, TransactionHeaders } from '../log/kafka/envelope.ts'
import { POSTGRES_EPOCH_MS, type Reader } from './reader.ts'

/** Headers are built here and copied: one for all, because a transaction begins in one go. */
const scratch = new ByteWriter()
const POSTGRES_EPOCH_MICROS = BigInt(POSTGRES_EPOCH_MS) * 1000n

export interface OpenTransaction extends EnvelopeTransaction {
  readonly headers: TransactionHeaders
  /** Of the next row or transactional message, counted before any filter. */
  nextPlace: number
}

/** @param previousEndLsn end of the commit before it in the stream; null on a new connection */
export function readBegin(reader: Reader, system: Buffer, previousEndLsn: bigint | null): OpenTransaction {
  const commitLsn = reader.uint64()
  const committedMicros = BigInt.asIntN(64, reader.uint64()) + POSTGRES_EPOCH_MICROS
  const head = { xid: reader.uint32(), commitLsn, committedMicros, previousEndLsn }
  reader.end()
  return { ...head, nextPlace: 0, headers: new TransactionHeaders(system, head, scratch) }
}
