/**
 * What a stage shared over Kafka vouches for as a whole: the least over all partitions of all its topics.
 *
 * Invariants. Never ahead of the rows: it is computed from what the partitions have committed, under the lock of the
 * stage's shared row, and stands still while a sweep is wanted. What a partition withheld is not counted until every
 * partition has passed the snapshot it looked into: a change that would make an old path true again may come through any
 * of them. The next stage learns it by a barrier (a hop), which capture carries through every partition of every topic
 * behind all that this stage had written.
 *
 * Partitions without changes stand still by themselves; so a process that handled changes asks for a barrier soon after,
 * at most one per stage and `barrierEveryMs` in the whole cluster. Handling barriers asks for none: at rest nothing moves.
 */
import { sleep } from '../../db/backoff.ts'
import { formatLsn, parseLsn } from '../../db/lsn.ts'
import { isRetriableDbError, type Pool, withTransaction } from '../../db/pool.ts'
import { asError } from '../../errors.ts'
import { isPlanted } from '../../faults.ts'
import { Waiters } from '../embedded/waiters.ts'
import { BARRIER_PREFIX } from '../log.ts'
import type { Report } from '../stage.ts'
import type { Reflected } from '../stage-position.ts'
import { type PartitionReflected, readPartitions } from './positions.ts'

const HOP = /^hop ([a-z0-9_-]+) ([0-9A-F]{1,8}\/[0-9A-F]{1,8}) (\d+(?:\.\d+)?)$/

export function hopContent(stage: string, { lsn, atMs }: Reflected): string {
  return `hop ${stage} ${formatLsn(lsn)} ${atMs}`
}

/** What a barrier's content says of a stage; null for a barrier that somebody waits for. */
export function readHop(content: string): { readonly stage: string; readonly reflected: Reflected } | null {
  const parts = HOP.exec(content)
  if (parts?.[1] === undefined || parts[2] === undefined) return null
  return { stage: parts[1], reflected: { lsn: parseLsn(parts[2]), atMs: Number(parts[3]) } }
}

export interface Least {
  /** Everything up to here was handled in every partition. */
  readonly handledLsn: bigint
  /** What of that may be said. */
  readonly reflected: Reflected
}

/** Pure. Without partitions nothing is vouched for. */
export function leastOf(partitions: readonly PartitionReflected[]): Least {
  const [first] = partitions
  if (first === undefined) return { handledLsn: 0n, reflected: { lsn: 0n, atMs: 0 } }
  let least = first
  for (const partition of partitions) if (partition.reflectedLsn < least.reflectedLsn) least = partition
  if (isPlanted('reflected-early')) for (const one of partitions) if (one.reflectedLsn > least.reflectedLsn) least = one
  const handledLsn = least.reflectedLsn
  let lsn = handledLsn
  for (const { withheld } of partitions) {
    for (const { fromLsn, untilLsn } of withheld) if (untilLsn > handledLsn && fromLsn <= lsn) lsn = fromLsn - 1n
  }
  return { handledLsn, reflected: { lsn, atMs: least.reflectedAtMs } }
}

export interface ReflectorOptions {
  readonly pool: Pool
  readonly stage: string
  readonly report: Report
  /** Another stage follows this one. */
  readonly isFollowed: boolean
  /** Changes come from outside: this stage is the one that asks for barriers. */
  readonly isFirst: boolean
  readonly barrierEveryMs?: number
}

/** At most one look per this long, however many commits ask for it. */
const PACE_MS = 5
const RETRY_MS = 500
/** While something is withheld the next barrier is what releases it. */
const WITHHELD_BARRIER_MS = 250

export class Reflector {
  readonly #options: ReflectorOptions
  readonly #waiters = new Waiters()
  #isAsked = true
  /** Changes were handled that no barrier of ours has followed yet. */
  #isUnsettled = false
  #isWithheld = false
  #handledLsn = 0n

  constructor(options: ReflectorOptions) {
    this.#options = options
  }

  get handledLsn(): bigint {
    return this.#handledLsn
  }

  /** A partition has moved. @param isChanged whether by a change, not by a barrier alone */
  poke(isChanged: boolean): void {
    this.#isAsked = true
    if (isChanged) this.#isUnsettled = true
    this.#waiters.announce()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { stage, report } = this.#options
    while (!signal.aborted) {
      try {
        if (this.#isAsked) {
          this.#isAsked = false
          await this.#settle()
        }
        if (this.#isUnsettled && this.#options.isFirst && (await this.#askForBarrier())) this.#isUnsettled = false
        // Both reject only when the signal aborts, which the loop's condition sees.
        if (!this.#isAsked) {
          await this.#waiters.next(signal, this.#isUnsettled ? 100 : 5_000).catch(() => undefined)
        }
        await sleep(PACE_MS, signal).catch(() => undefined)
      } catch (error) {
        this.#isAsked = true
        report({ type: 'failed', stage, code: 'LOG_REFLECTED', message: asError(error).message })
        if (!isRetriableDbError(error)) throw error
        await sleep(RETRY_MS, signal).catch(() => undefined)
      }
    }
  }

  /** Once, outside the loop: for who needs it now. */
  async settle(): Promise<void> {
    await this.#settle()
  }

  async #settle(): Promise<void> {
    const { pool, stage, isFollowed } = this.#options
    const least = await withTransaction(pool, {}, async (client) => {
      const { rows: shared } = await client.query<{ is_swept: boolean }>({
        name: 'rescore-lock-shared',
        text: `select sweeps_done >= sweeps_wanted as is_swept from rescore.shared_stage where stage = $1 for update`,
        values: [stage],
      })
      // After the lock: what a partition committed together with a wanted sweep is seen with it.
      const found = leastOf(await readPartitions(client, stage))
      if (shared[0]?.is_swept !== true) return found
      const { lsn, atMs } = found.reflected
      const { rowCount } = await client.query({
        name: 'rescore-reflect-whole',
        text: `update rescore.stage_position set reflected_lsn = $2::pg_lsn, moved_at = clock_timestamp(),
            reflected_at = coalesce($3::timestamptz, reflected_at)
          where stage = $1 and topic = '' and partition = 0 and reflected_lsn < $2::pg_lsn`,
        values: [stage, formatLsn(lsn), atMs === 0 ? null : new Date(atMs).toISOString()],
      })
      if (rowCount === 0) return found
      if (isFollowed) {
        const content = hopContent(stage, found.reflected)
        await client.query('select pg_logical_emit_message(true, $1, $2)', [BARRIER_PREFIX, content])
      }
      await client.query(`select pg_notify('rescore_reflected', $1)`, [stage])
      return found
    })
    this.#handledLsn = least.handledLsn
    this.#isWithheld = least.reflected.lsn < least.handledLsn
    if (this.#isWithheld) this.#isUnsettled = true
  }

  /** Whether this process's turn it was. */
  async #askForBarrier(): Promise<boolean> {
    const { pool, stage, barrierEveryMs = 2_000 } = this.#options
    const everyMs = this.#isWithheld ? Math.min(WITHHELD_BARRIER_MS, barrierEveryMs) : barrierEveryMs
    const { rowCount } = await pool.query({
      name: 'rescore-ask-barrier',
      text: `with turn as (
          update rescore.shared_stage set barrier_at = clock_timestamp()
          where stage = $1 and barrier_at < clock_timestamp() - $2::float8 * interval '1 ms' returning stage)
        select pg_logical_emit_message(true, $3, 'settle ' || stage) from turn`,
      values: [stage, everyMs, BARRIER_PREFIX],
    })
    return (rowCount ?? 0) > 0
  }
}
