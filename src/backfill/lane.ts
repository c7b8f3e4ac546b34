/**
 * The lane of backfills: a piece of a running job whenever the stage has a turn to give.
 *
 * Invariants: the entities of a piece, the chunk they leave and the job's counters change in one transaction, so a kill
 * at any point repeats the piece whole and nothing is skipped or counted twice. Any number of workers take chunks of one
 * job: a chunk in hand is locked. A job that cannot go on is kept as failed with the reason; the service goes on.
 */
import { formatLsn } from '../db/lsn.ts'
import { isSerializationFailure, isWorthRepeating, type Pool } from '../db/pool.ts'
import { asError, isRescoreError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import type { Graph } from '../graph/graph.ts'
import type { InTransaction, Lane } from '../log/lane.ts'
import { Pace } from '../log/pace.ts'
import type { ApplyContext } from '../log/stage.ts'
import { type AskedDone, unknownEntity } from '../recompute/asked.ts'
import type { RecomputeStage } from '../recompute/stage.ts'
import { cutAhead } from './cut.ts'
import { type Backfill, jobOf, readBackfill } from './job.ts'
import { COUNT, FAIL, FINISH, NEXT_JOB, TAKE, TAKE_AWAY, TAKE_TURN } from './statements.ts'

export interface BackfillLaneOptions {
  readonly pool: Pool
  readonly graph: Graph
  /** Name of this process among those that share a job. */
  readonly worker: string
  /** Of the lane's own where changes are handled at the same time. */
  readonly stage: Pick<RecomputeStage, 'recompute'>
  readonly onError: (error: Error, backfill: Backfill) => void
}

/** Pausing, cancelling and new jobs are seen within this. */
const LOOK_EVERY_MS = 250
const CUT_BELOW_CHUNKS = 2

interface Running extends Backfill {
  readonly startedAtMs: number
  readonly chunks: number
}

interface Chunk {
  readonly seq: bigint
  readonly keys: readonly string[]
}

export class BackfillLane implements Lane {
  readonly name = 'backfill'
  readonly #options: BackfillLaneOptions
  readonly #pace = new Pace()
  #nextLookMs = 0
  #lastId = 0n

  constructor(options: BackfillLaneOptions) {
    this.#options = options
  }

  dueInMs(): number {
    return Math.max(0, this.#nextLookMs - performance.now())
  }

  async step(inTransaction: InTransaction, isBusy: boolean): Promise<void> {
    const { pool, onError } = this.#options
    const { rows } = await pool.query<Running>({
      name: 'rescore-backfill-next',
      text: NEXT_JOB,
      values: [this.#lastId],
    })
    const [job] = rows
    if (job === undefined) return this.#lookLater()
    this.#lastId = job.id
    try {
      await this.#work(job, inTransaction, isBusy)
    } catch (error) {
      if (isSerializationFailure(error) && (await this.#wasTold(job))) return
      if (isWorthRepeating(error) || (isRescoreError(error) && error.code === 'FEATURE_NOT_DEPLOYED')) throw error
      const reason = asError(error).message
      await pool.query(FAIL, [job.id, reason.slice(0, 1_000)])
      onError(asError(error), job)
    }
  }

  /** Somebody paused or cancelled it in the middle of a piece: nothing of the piece is there, and nothing is wrong. */
  async #wasTold({ id }: Running): Promise<boolean> {
    return (await readBackfill(this.#options.pool, id)).state !== 'running'
  }

  #lookLater(): void {
    this.#nextLookMs = performance.now() + LOOK_EVERY_MS
  }

  async #work(job: Running, inTransaction: InTransaction, isBusy: boolean): Promise<void> {
    const { pool, graph } = this.#options
    const node = graph.entities.get(job.entity)
    if (node === undefined) throw unknownEntity(job.entity)
    if (!job.isCut && job.chunks < CUT_BELOW_CHUNKS) {
      // Changes come first: what was cut, and looking on, is the next turn's work.
      if (!(await cutAhead(pool, node, job))) return
    }
    const startedMs = performance.now()
    const count = await inTransaction((context) => this.#piece(context, job))
    if (count > 0) this.#pace.note(count, performance.now() - startedMs, isBusy)
    if (count > 0 && job.chunks > 1) return
    const { rowCount } = await pool.query(FINISH, [job.id])
    // What is left is in other hands, or its time has not come.
    if (count === 0 && rowCount === 0) this.#lookLater()
  }

  /** Returns how many entities it was. */
  async #piece(context: ApplyContext, job: Running): Promise<number> {
    const { client } = context
    const isTakenAway = isPlanted('chunk-before-work')
    const { rows } = await (isTakenAway ? this.#options.pool : client).query<Chunk>(
      isTakenAway
        ? { text: TAKE_AWAY, values: [job.id] }
        : { name: 'rescore-backfill-take', text: TAKE, values: [job.id] },
    )
    const [chunk] = rows
    if (chunk === undefined) return 0
    const most = isTakenAway ? chunk.keys.length : Math.min(this.#pace.size, job.rate ?? Number.POSITIVE_INFINITY)
    const keys = chunk.keys.slice(0, most)
    if (job.rate !== null && !(await this.#isItsTurn(context, job, keys.length))) return 0
    const { entity, features, policy } = job
    const isForced = policy !== 'stale' && policy !== 'silenced'
    const asked = { entity, keys, features, isForced, job: jobOf(job, job.startedAtMs, formatLsn(context.snapshotLsn)) }
    const done = await this.#options.stage.recompute(context, asked)
    const left = chunk.keys.slice(keys.length)
    await client.query(
      left.length === 0
        ? { text: 'delete from rescore.backfill_chunk where backfill = $1 and seq = $2', values: [job.id, chunk.seq] }
        : {
            text: 'update rescore.backfill_chunk set keys = $3 where backfill = $1 and seq = $2',
            values: [job.id, chunk.seq, left],
          },
    )
    await this.#count(context, job, done, keys.length)
    return keys.length
  }

  async #isItsTurn({ client }: ApplyContext, { id }: Running, entities: number): Promise<boolean> {
    const { rowCount } = await client.query(TAKE_TURN, [id, entities])
    return rowCount === 1
  }

  async #count({ client }: ApplyContext, { id }: Running, done: AskedDone, entities: number): Promise<void> {
    const { changed, unchanged, fresh, failed, gone } = done
    await client.query({
      name: 'rescore-backfill-count',
      text: COUNT,
      values: [id, changed, unchanged, fresh, failed, gone, this.#options.worker, entities],
    })
  }
}
