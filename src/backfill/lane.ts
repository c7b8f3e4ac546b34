/**
 * The lane of backfills: a piece of a running job whenever the stage has a turn to give.
 *
 * Invariants: the entities of a piece, the chunk they leave and the job's counters change in one transaction, so a kill
 * at any point repeats the piece whole and nothing is skipped or counted twice. Any number of workers take chunks of one
 * job: a chunk in hand is locked. A job that cannot go on is kept as failed with the reason; the service goes on.
 */
import { isRetriableDbError, type Pool } from '../db/pool.ts'
import { asError, isRescoreError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import type { Graph } from '../graph/graph.ts'
import type { InTransaction, Lane } from '../log/lane.ts'
import { Pace } from '../log/pace.ts'
import type { ApplyContext } from '../log/stage.ts'
import { type AskedDone, unknownEntity } from '../recompute/asked.ts'
import type { RecomputeStage } from '../recompute/stage.ts'
import { cutAhead } from './cut.ts'
import { BACKFILL_COLUMNS, type Backfill } from './job.ts'

export interface BackfillLaneOptions {
  readonly pool: Pool
  readonly graph: Graph
  /** Of the lane's own where changes are handled at the same time. */
  readonly stage: Pick<RecomputeStage, 'recompute'>
  readonly onError: (error: Error, backfill: Backfill) => void
}

/** Pausing, cancelling and new jobs are seen within this. */
const LOOK_EVERY_MS = 250
const CUT_BELOW_CHUNKS = 2

interface Job extends Backfill {
  readonly chunks: number
}

interface Chunk {
  readonly seq: bigint
  readonly keys: readonly string[]
}

/** Each running job in turn, those of a declared rate when their time has come. */
const NEXT_JOB = `select ${BACKFILL_COLUMNS},
    (select count(*)::float8 from rescore.backfill_chunk c where c.backfill = b.id) as chunks
  from rescore.backfill b where state = 'running' and paced_until <= clock_timestamp()
  order by (id <= $1), id limit 1`

const TAKE = `select c.seq, c.keys from rescore.backfill_chunk c join rescore.backfill b on b.id = c.backfill
  where c.backfill = $1 and b.state = 'running' order by c.seq limit 1 for update of c skip locked`

/** For the planted bug alone. */
const TAKE_AWAY = `delete from rescore.backfill_chunk where (backfill, seq) in (
  select backfill, seq from rescore.backfill_chunk where backfill = $1 order by seq limit 1) returning seq, keys`

/** Waits for whoever paces the same job: what is over before its time is not taken. */
const TAKE_TURN = `update rescore.backfill set
    paced_until = greatest(paced_until, clock_timestamp() - interval '1 s') + make_interval(secs => $2::float8 / rate)
  where id = $1 and state = 'running' and paced_until <= clock_timestamp() returning id`

const COUNT = `update rescore.backfill set changed = changed + $2, unchanged = unchanged + $3, fresh = fresh + $4,
  failed = failed + $5, gone = gone + $6 where id = $1`

/** While a chunk is in somebody's hand it is still there. */
const FINISH = `with finished as (
    update rescore.backfill set state = 'done', ended_at = clock_timestamp()
    where id = $1 and state = 'running' and is_cut
      and not exists (select from rescore.backfill_chunk where backfill = $1)
    returning id)
  update rescore.definition set backfill = null where backfill in (select id from finished)`

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

  async step(inTransaction: InTransaction): Promise<void> {
    const { pool, onError } = this.#options
    const { rows } = await pool.query<Job>({ name: 'rescore-backfill-next', text: NEXT_JOB, values: [this.#lastId] })
    const [job] = rows
    if (job === undefined) return this.#lookLater()
    this.#lastId = job.id
    try {
      await this.#work(job, inTransaction)
    } catch (error) {
      const isWorthRepeating = isRescoreError(error) ? error.fate === 'retry' : isRetriableDbError(error)
      if (isWorthRepeating || (isRescoreError(error) && error.code === 'FEATURE_NOT_DEPLOYED')) throw error
      const reason = asError(error).message
      await pool.query(
        `update rescore.backfill set state = 'failed', failure = $2 where id = $1 and state = 'running'`,
        [job.id, reason.slice(0, 1_000)],
      )
      onError(asError(error), job)
    }
  }

  #lookLater(): void {
    this.#nextLookMs = performance.now() + LOOK_EVERY_MS
  }

  async #work(job: Job, inTransaction: InTransaction): Promise<void> {
    const { pool, graph } = this.#options
    const node = graph.entities.get(job.entity)
    if (node === undefined) throw unknownEntity(job.entity)
    if (!job.isCut && job.chunks < CUT_BELOW_CHUNKS) await cutAhead(pool, node, job)
    const startedMs = performance.now()
    const count = await inTransaction((context) => this.#piece(context, job))
    if (count > 0) this.#pace.note(count, performance.now() - startedMs)
    if (count > 0 && job.chunks > 1) return
    const { rowCount } = await pool.query(FINISH, [job.id])
    // What is left is in other hands, or its time has not come.
    if (count === 0 && rowCount === 0) this.#lookLater()
  }

  /** Returns how many entities it was. */
  async #piece(context: ApplyContext, job: Job): Promise<number> {
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
    const isForced = policy === 'all' || policy === 'missing'
    const done = await this.#options.stage.recompute(context, { entity, keys, features, isForced })
    const left = chunk.keys.slice(keys.length)
    await client.query(
      left.length === 0
        ? { text: 'delete from rescore.backfill_chunk where backfill = $1 and seq = $2', values: [job.id, chunk.seq] }
        : {
            text: 'update rescore.backfill_chunk set keys = $3 where backfill = $1 and seq = $2',
            values: [job.id, chunk.seq, left],
          },
    )
    await count(context, job, done)
    return keys.length
  }

  async #isItsTurn({ client }: ApplyContext, { id }: Job, entities: number): Promise<boolean> {
    const { rowCount } = await client.query(TAKE_TURN, [id, entities])
    return rowCount === 1
  }
}

async function count({ client }: ApplyContext, { id }: Job, done: AskedDone): Promise<void> {
  const { changed, unchanged, fresh, failed, gone } = done
  await client.query({
    name: 'rescore-backfill-count',
    text: COUNT,
    values: [id, changed, unchanged, fresh, failed, gone],
  })
}
