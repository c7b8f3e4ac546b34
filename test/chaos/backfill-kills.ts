/**
 * A backfill under live load whose workers are killed: what both logs are asked.
 *
 * After each job: every entity is at the target epoch, every entity of the list was counted exactly once, and what is
 * stored equals a recompute from scratch.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { createBackfill } from '../../src/backfill/create.ts'
import { type Backfill, doneCount, readBackfill } from '../../src/backfill/job.ts'
import { sleep } from '../../src/db/backoff.ts'
import { companies } from '../backfill/setting.ts'
import { eventually } from '../support/eventually.ts'
import { STEADY, startLoad, WILD } from './load.ts'
import type { Place } from './running.ts'

/** Enough that a kill meets the job at work. */
const COMPANIES = 4_000
/** Keys of companies that the load does not touch. */
export const FILLER = { first: 100_001, last: 100_000 + COMPANIES, count: COMPANIES } as const
const AT_ONCE = 5
const LONGEST_MS = 1_200

export interface Victims {
  readonly place: Place
  /** Kills one of those at work and starts it again. */
  kill(round: number): Promise<void>
  /** Waits until everything is reflected, and finds nothing wrong. */
  check(after: string): Promise<void>
}

/** Companies beyond those that the load touches. */
export async function fillCompanies({ pool }: Place): Promise<void> {
  await pool.query(
    `insert into app.company (id, name, employees, is_partner)
     select i, 'Company ' || i, i % 90, i % 3 = 0 from generate_series(${FILLER.first}, ${FILLER.last}) i`,
  )
}

/** As a release that changes a feature of every company, in the order of the list or in key order. */
async function release({ pool }: Place, priority: string | null): Promise<Backfill> {
  await pool.query(
    `update rescore.definition set changed_in_epoch = (select max(changed_in_epoch) + 1 from rescore.definition)
     where entity = 'company' and feature = 'visits'`,
  )
  const request = { policy: 'stale', features: [], condition: null, ids: null, priority, rate: null } as const
  const backfill = await createBackfill(pool, companies(), request, { reason: 'deployed', state: 'planned' })
  await pool.query(`update rescore.definition set backfill = $1 where entity = 'company' and feature = 'visits'`, [
    backfill.id,
  ])
  await pool.query(`update rescore.backfill set state = 'running' where id = $1`, [backfill.id])
  return backfill
}

export async function killInBackfills({ place, kill, check }: Victims, kills: number, seed: number): Promise<void> {
  const moments = fc.sample(fc.integer({ min: 0, max: LONGEST_MS }), { seed, numRuns: kills })
  for (let from = 0; from < kills; from += AT_ONCE) {
    const job = from / AT_ONCE
    const isListed = job % 2 === 0
    const backfill = await release(place, isListed ? 'employees desc' : null)
    const load = startLoad(place, seed + from, job % 3 === 2 ? WILD : STEADY)
    for (const [index, afterMs] of moments.slice(from, from + AT_ONCE).entries()) {
      await sleep(afterMs)
      await kill(from + index)
    }
    await load.stop()
    const done = await eventually(
      async () => {
        const now = await readBackfill(place.pool, backfill.id)
        expect(now.state, `${doneCount(now)} of ${now.total}`).toBe('done')
        return now
      },
      { deadlineMs: 150_000, everyMs: 100 },
    )
    if (isListed) expect(doneCount(done), 'counted').toBe(done.total)
    await check(`${from + AT_ONCE} kills of seed ${seed}`)
    const { rows } = await place.pool.query(
      `select f.key from rescore.features_company f where f.epoch <
         (select max(changed_in_epoch) from rescore.definition where entity = 'company')
         and not exists (select from rescore.quarantine q where q.entity = 'company' and q.key = f.key::text)`,
    )
    expect(rows, 'below the target epoch').toEqual([])
  }
}
