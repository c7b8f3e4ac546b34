/**
 * One pass of one delivery: what is due is compared, what differs is written, what became of it is kept.
 *
 * Invariants: writes are counted and noted before they are made and settled after; killed anywhere in between, the next
 * pass finds the same records due and the same differences, and writes what the destination is not known to hold. What
 * fails as a whole pauses this destination alone.
 */
import { isSourceError } from '../connect/options.ts'
import { isRetriableDbError, type Pool } from '../db/pool.ts'
import type { Delivery, DeliveryOutcome } from '../define/index.ts'
import { asError, isRescoreError } from '../errors.ts'
import type { Faults } from '../faults.ts'
import type { Destination } from './destination.ts'
import { clearDue, forget, readDue, reserve } from './ledger.ts'
import { readMirror } from './mirror.ts'
import { planWrites, type Write } from './plan.ts'
import { type Aside, asideForMs, pause, settle, type Written } from './settle.ts'

export interface PassResult {
  readonly looked: number
  readonly written: number
  readonly aside: number
  /** How long nothing is to be tried; 0: go on. */
  readonly pauseMs: number
  /** Why, for the log. */
  readonly failure: Error | null
}

export interface PassOptions {
  readonly pool: Pool
  readonly delivery: Delivery
  readonly destination: Destination
  readonly now: () => number
  /** Passes in a row that failed as a whole. */
  readonly failures: number
  /** Named points where crash tests end the process. */
  readonly faults?: Faults | undefined
}

const REFUSED_MS = 300_000
const MOST_MS = 300_000

function pauseFor(error: Error, failures: number, nowMs: number): { code: string; message: string; waitMs: number } {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'UNEXPECTED'
  const backoff = Math.min(MOST_MS, 1_000 * 2 ** Math.min(failures, 20))
  const at = { code, message: error.message }
  if (isSourceError(error)) {
    if (error.kind === 'auth' || error.kind === 'config') return { ...at, waitMs: REFUSED_MS }
    if (error.retryAtMs !== undefined) return { ...at, waitMs: Math.max(backoff, error.retryAtMs - nowMs) }
  } else if (isRescoreError(error) && error.fate === 'stop') return { ...at, waitMs: REFUSED_MS }
  return { ...at, waitMs: backoff }
}

/** A destination that answers less than it was asked is taken to have refused the rest. */
function sortOut(
  writes: readonly Write[],
  outcomes: readonly DeliveryOutcome[],
): { readonly written: readonly Written[]; readonly aside: readonly Aside[] } {
  const byKey = new Map(outcomes.map((outcome) => [outcome.key, outcome]))
  const written: Written[] = []
  const aside: Aside[] = []
  for (const { key, mark, attempts, record, values } of writes) {
    const outcome = byKey.get(key)
    if (outcome?.status === 'written') written.push({ key, mark, values: record.isGone ? null : values })
    else if (outcome?.status === 'gone')
      aside.push({ key, mark, code: 'DELIVER_GONE', reason: outcome.reason, waitMs: null })
    else {
      const { code, reason } = outcome ?? {
        code: 'DELIVER_UNANSWERED',
        reason: 'The destination did not answer for it.',
      }
      aside.push({ key, mark, code, reason, waitMs: asideForMs(attempts) })
    }
  }
  return { written, aside }
}

function msToMidnight(nowMs: number): number {
  return 86_400_000 - (nowMs % 86_400_000)
}

export async function runPass(options: PassOptions): Promise<PassResult> {
  const { pool, delivery, destination, now, failures, faults } = options
  const due = await readDue(pool, delivery, destination.batchSize)
  const mirror = await readMirror(
    pool,
    delivery,
    due.map(({ key }) => key),
  )
  const plan = planWrites(delivery, due, mirror, destination)
  await clearDue(pool, delivery, plan.settled)
  await forget(pool, delivery, plan.forgotten)
  if (plan.aside.length > 0) await settle(pool, delivery, [], plan.aside)
  const result = { looked: due.length, written: 0, aside: plan.aside.length, pauseMs: 0, failure: null }
  if (plan.writes.length === 0) return result
  await faults?.hit('deliver:before-reserve')
  const granted = await reserve(pool, delivery, plan.writes)
  const writes = plan.writes.slice(0, granted)
  await faults?.hit('deliver:before-write')
  let outcomes: readonly DeliveryOutcome[] = []
  if (writes.length > 0) {
    try {
      await destination.prepare()
      outcomes = await destination.write(writes.map(({ record }) => record))
    } catch (thrown) {
      const failure = asError(thrown)
      // Of our own database: the caller backs off, the destination has done nothing wrong.
      if (isRetriableDbError(failure)) throw failure
      const why = pauseFor(failure, failures, now())
      const keys = writes.map(({ key }) => key)
      await pause(pool, delivery, keys, why)
      return { ...result, pauseMs: why.waitMs, failure }
    }
  }
  await faults?.hit('deliver:after-write')
  const { written, aside } = sortOut(writes, outcomes)
  await settle(pool, delivery, written, aside)
  await forget(
    pool,
    delivery,
    written.filter(({ values }) => values === null),
  )
  await faults?.hit('deliver:after-settle')
  const left = plan.writes.slice(granted)
  const sums = { ...result, written: written.length, aside: plan.aside.length + aside.length }
  if (left.length === 0) return sums
  const waitMs = msToMidnight(now())
  const message = `The ${delivery.limits.perDay} writes of the day are used up.`
  await pause(
    pool,
    delivery,
    left.map(({ key }) => key),
    { code: 'DELIVER_DAY_SPENT', message, waitMs },
  )
  return { ...sums, pauseMs: waitMs }
}
