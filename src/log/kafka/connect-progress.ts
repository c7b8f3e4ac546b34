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
import { formatLsn, parseLsn } from '../../db/lsn.ts'
import { isRetriableDbError, type Pool } from '../../db/pool.ts'
import { asError, isRescoreError } from '../../errors.ts'
import { isPlanted } from '../../faults.ts'
import type { Report } from '../stage.ts'
import { emitBarrier, type Reflected } from '../stage-position.ts'
import { readFound } from './beginning.ts'
import { type ConnectorOffset, followConnectorOffsets } from './connect-offsets.ts'
import type { FoundPartition } from './partitions.ts'
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

/** What is to be said of every partition that has been handled up to its end. */
interface Round {
  readonly say: Reflected
  readonly ends: readonly FoundPartition[]
}

/** What may be said once the connector is at or behind `afterLsn`. */
interface Promised {
  readonly say: Reflected
  readonly afterLsn: bigint
}

const LOOK_EVERY_MS = 100
/** More are not taken up while so many wait for the connector. */
const MAX_PROMISED = 16

/** Everything of the stage before that is committed by `workDone` was written by then; the same means nothing was since. */
async function readUpstream(
  pool: Pool,
  stage: string,
): Promise<{ readonly say: Reflected; readonly workDone: string }> {
  const { rows } = await pool.query<{ lsn: string; at_ms: number | null; work_done: string }>({
    name: 'rescore-read-upstream',
    text: `select w.reflected_lsn::text as lsn, (extract(epoch from w.reflected_at) * 1000)::float8 as at_ms,
        concat_ws(' ', (select sum(next_offset) from rescore.stage_position p where p.stage = w.stage and topic <> ''),
          (select sweeps_done from rescore.shared_stage s where s.stage = w.stage)) as work_done
      from rescore.stage_position w where w.stage = $1 and w.topic = ''`,
    values: [stage],
  })
  const [row] = rows
  if (row === undefined) return { say: { lsn: 0n, atMs: 0 }, workDone: '' }
  return { say: { lsn: parseLsn(row.lsn), atMs: row.at_ms ?? 0 }, workDone: row.work_done }
}

/** Whether every partition has said it. */
async function say(pool: Pool, stage: string, { say: { lsn, atMs }, ends }: Round): Promise<boolean> {
  const { rows } = await pool.query<{ left: number }>({
    name: 'rescore-say-partitions',
    // A row that is being moved is looked at again; never waited for, since many are held here at once.
    text: `with passed as (
        select p.stage, p.topic, p.partition from rescore.stage_position p
        join unnest($4::text[], $5::integer[], $6::bigint[]) as e (topic, partition, last)
          on e.topic = p.topic and e.partition = p.partition
        where p.stage = $1 and p.next_offset >= e.last and p.reflected_lsn < $2::pg_lsn for update of p skip locked
      ), said as (
        update rescore.stage_position p set reflected_lsn = $2::pg_lsn, reflected_at = coalesce($3::timestamptz, reflected_at)
        from passed where p.stage = passed.stage and p.topic = passed.topic and p.partition = passed.partition returning 1)
      select ((select count(*) from rescore.stage_position where stage = $1 and topic <> '' and reflected_lsn < $2::pg_lsn)
        - (select count(*) from said))::integer as left`,
    values: [
      stage,
      formatLsn(lsn),
      atMs === 0 ? null : new Date(atMs).toISOString(),
      ends.map(({ topic }) => topic),
      ends.map(({ partition }) => partition),
      ends.map(({ offset = 0n }) => offset),
    ],
  })
  return rows[0]?.left === 0
}

class Progress {
  readonly #options: ProgressOptions
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
  }

  /** One look. */
  async step(): Promise<void> {
    const { pool, stage, upstream, onSaid } = this.#options
    if (upstream !== null) await this.#promise(upstream)
    this.#round ??= await this.#begin()
    if (this.#round === null) return
    const { lsn } = this.#round.say
    const isSaid = await say(pool, stage, this.#round)
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
    const { kafka, topics } = this.#options
    const sayable = this.#sayable()
    if (sayable === null) return null
    // Only now: see the argument above.
    if (this.#ends.length === 0 || !isPlanted('ends-of-before')) this.#ends = await readFound(kafka, topics, 'high')
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
  const following = followConnectorOffsets({ kafka, prefix, connect, onOffset, onError: tell }, over).finally(() =>
    ending.abort(new Error('The offsets of the connector are not read any more.')),
  )
  const backoff = new Backoff({ baseMs: 100, maxMs: 5_000 })
  try {
    while (!over.aborted) {
      try {
        await progress.step()
        backoff.reset()
        // Both waits reject only when the signal aborts, which the loop's condition sees.
        await sleep(LOOK_EVERY_MS, over).catch(() => undefined)
      } catch (error) {
        tell(asError(error))
        const isRetriable = isRescoreError(error) ? error.fate === 'retry' : isRetriableDbError(error)
        if (!isRetriable) throw error
        await backoff.wait(over).catch(() => undefined)
      }
    }
  } finally {
    ending.abort(new Error('The progress of the connector is not looked at any more.'))
    await following
  }
}
