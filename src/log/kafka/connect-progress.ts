/**
 * What a stage vouches for where a Debezium connector writes the topics: no barrier of ours comes through them.
 *
 * The argument, for one partition. C is read: everything committed before C is in the topics (connect-offsets.ts). Only
 * then the end of each partition is asked for: E, behind all of that. Once the stage has handled a partition up to its E,
 * it has handled everything of it that was committed before C, and says so. Asked for in the other order E could lie
 * before a record that C covers. An end is never too low after a change of leaders: a broker that does not know yet how
 * far the one before had come refuses to answer (KIP-207); and one below what was handled already is not believed.
 *
 * A stage that follows another vouches for R of the one before, once all that R rests on has come through. R rests on what
 * the stage before had written when R was read; W is an LSN read after that. With C at or behind W it is in the topics, and E is
 * taken then. C only moves with commits, so a barrier of ours is asked for behind W. At rest none is: as long as the
 * stage before has committed nothing but its word, the W of the round before stands behind all that it wrote.
 *
 * Invariants: one round at a time, begun with what is newest, so under load it is reached too; rows are only ever moved
 * on. Two that do this at once do no harm, and a crash costs the round.
 */
import type { Kafka } from 'kafkajs'
import { Backoff, sleep } from '../../db/backoff.ts'
import { formatLsn } from '../../db/lsn.ts'
import { isRetriableDbError, isWorthRepeating, type Pool } from '../../db/pool.ts'
import { asError, isRescoreError, RescoreError } from '../../errors.ts'
import { isPlanted } from '../../faults.ts'
import { Waiters } from '../embedded/waiters.ts'
import type { Report } from '../stage.ts'
import { emitBarrier, type Reflected } from '../stage-position.ts'
import { readFound } from './beginning.ts'
import { type ConnectorOffset, followConnectorOffsets } from './connect-offsets.ts'
import { type Round, readUpstream, readWalEnd, sayOf } from './connect-positions.ts'
import type { FoundPartition } from './partitions.ts'
import { readPartitions } from './positions.ts'
import type { ConnectSettings } from './settings.ts'

export interface ProgressOptions {
  readonly pool: Pool
  readonly kafka: Kafka
  readonly prefix: string
  readonly connect: ConnectSettings
  readonly stage: string
  readonly upstream: string | null
  readonly topics: readonly string[]
  readonly report: Report
  /** A partition vouches for more. */
  readonly onSaid: () => void
}

/** What may be said once the connector is at or behind `afterLsn`. */
interface Promised {
  readonly say: Reflected
  readonly afterLsn: bigint
}

/** While something is to be said, and otherwise: each stored offset brings a look by itself. */
const [BUSY_LOOK_MS, IDLE_LOOK_MS] = [100, 2_000]
/** More are not taken up while so many wait for the connector. */
const MAX_PROMISED = 16

/** @throws RescoreError LOG_CONNECT_ENDS when one lies before what was handled: of a topic that was made anew, it may be */
async function readEnds({ pool, kafka, stage, topics }: ProgressOptions): Promise<readonly FoundPartition[]> {
  // Before the ends are asked for: afterwards they may have been passed.
  const handled = await readPartitions(pool, stage)
  const ends = await readFound(kafka, topics, 'high')
  const endOf = new Map(ends.map(({ topic, partition, offset = 0n }) => [`${partition} ${topic}`, offset]))
  const ahead = handled.find(
    ({ source, nextOffset }) => nextOffset > (endOf.get(`${source.partition} ${source.topic}`) ?? nextOffset),
  )
  if (ahead === undefined) return ends
  throw new RescoreError({
    code: 'LOG_CONNECT_ENDS',
    fate: 'retry',
    message: `Partition ${ahead.source.partition} of ${ahead.source.topic} is said to end before what stage '${stage}' has handled of it.`,
    mend: 'It is asked again. If it stays, the topic was made anew: rescore resync, and start.',
  })
}

/** Offsets outlive the connector and the database they were of. */
function ofAnotherHistory(lsn: bigint, walLsn: bigint): RescoreError {
  return new RescoreError({
    code: 'LOG_CONNECT_AHEAD',
    fate: 'retry',
    message: `Kafka Connect's offset stands at ${formatLsn(lsn)}, but the write-ahead log ends at ${formatLsn(walLsn)}: it is of another database or of a time before a restore.`,
    mend: 'Delete the offsets of the connector (DELETE /connectors/<name>/offsets) and make its slot anew; rescore resync, and start.',
  })
}

class Progress {
  readonly #options: ProgressOptions
  readonly #stored = new Waiters()
  #connector: ConnectorOffset | null = null
  #round: Round | null = null
  #ends: readonly FoundPartition[] = []
  #saidLsn = 0n
  #promised: Promised[] = []
  #upstream = { saidLsn: 0n, workDone: '', afterLsn: 0n }

  constructor(options: ProgressOptions) {
    this.#options = options
  }

  take(offset: ConnectorOffset): void {
    this.#connector = offset
    this.#stored.announce()
  }

  /** Until it is time for the next look. Rejects when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    if (this.#round !== null) return sleep(BUSY_LOOK_MS, signal)
    return this.#stored.next(signal, this.#promised.length > 0 ? BUSY_LOOK_MS : IDLE_LOOK_MS)
  }

  /** One look. */
  async step(): Promise<void> {
    const { pool, stage, upstream, onSaid } = this.#options
    if (upstream !== null) await this.#promise(upstream)
    this.#round ??= await this.#begin()
    if (this.#round === null) return
    const { lsn } = this.#round.say
    const isSaid = await sayOf(pool, stage, this.#round)
    onSaid()
    if (!isSaid) return
    this.#saidLsn = lsn
    this.#promised = this.#promised.filter((promised) => promised.say.lsn > lsn)
    this.#round = null
  }

  async #promise(upstream: string): Promise<void> {
    if (this.#promised.length >= MAX_PROMISED) return
    const { pool, stage } = this.#options
    const { say: said, workDone } = await readUpstream(pool, upstream)
    if (said.lsn <= this.#upstream.saidLsn) return
    const isAtRest = workDone === this.#upstream.workDone
    const afterLsn = isAtRest ? this.#upstream.afterLsn : await emitBarrier(pool, stage)
    this.#upstream = { saidLsn: said.lsn, workDone, afterLsn }
    this.#promised.push({ say: said, afterLsn })
  }

  /** Null while there is nothing new to be said. */
  async #begin(): Promise<Round | null> {
    const sayable = this.#sayable()
    if (sayable === null) return null
    const walLsn = await readWalEnd(this.#options.pool)
    if (sayable.lsn >= walLsn) throw ofAnotherHistory(sayable.lsn, walLsn)
    // Only now: see the argument above.
    if (this.#ends.length === 0 || !isPlanted('ends-of-before')) this.#ends = await readEnds(this.#options)
    return { say: sayable, ends: this.#ends }
  }

  #sayable(): Reflected | null {
    const commitLsn = this.#connector?.commitLsn ?? null
    if (commitLsn === null || this.#connector === null) return null
    if (this.#options.upstream === null) {
      // The end of a commit is where the next one may begin.
      const lsn = commitLsn - 1n
      return lsn > this.#saidLsn ? { lsn, atMs: this.#connector.atMs } : null
    }
    return this.#promised.findLast(({ afterLsn }) => afterLsn <= commitLsn)?.say ?? null
  }
}

async function look(progress: Progress, signal: AbortSignal, tell: (error: Error) => void): Promise<void> {
  const backoff = new Backoff({ baseMs: 100, maxMs: 5_000 })
  while (!signal.aborted) {
    try {
      await progress.step()
      backoff.reset()
      // Both waits reject only when the signal aborts, which the loop's condition sees.
      await progress.next(signal).catch(() => undefined)
    } catch (error) {
      if (signal.aborted) return
      tell(asError(error))
      if (!isWorthRepeating(error)) throw error
      await backoff.wait(signal).catch(() => undefined)
    }
  }
}

/** Until the signal aborts. @throws errors of fate `stop` */
export async function runConnectorProgress(options: ProgressOptions, signal: AbortSignal): Promise<void> {
  const { kafka, prefix, connect, stage, report } = options
  const progress = new Progress(options)
  const tell = (error: Error) => {
    const code = isRescoreError(error) ? error.code : isRetriableDbError(error) ? 'DB_CONNECTION' : 'UNEXPECTED'
    report({ type: 'failed', stage, code, message: error.message })
  }
  const ending = new AbortController()
  const over = AbortSignal.any([signal, ending.signal])
  const onOffset = (offset: ConnectorOffset) => progress.take(offset)
  const follow = { kafka, prefix, connect, onOffset, onError: tell }
  const outcomes = await Promise.allSettled(
    [followConnectorOffsets(follow, over), look(progress, over, tell)].map((part) =>
      part.finally(() => ending.abort(new Error('The other half has ended.'))),
    ),
  )
  for (const outcome of outcomes) if (outcome.status === 'rejected' && !signal.aborted) throw outcome.reason
}
