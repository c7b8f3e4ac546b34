/**
 * Timers that fire all the time beside live load, in workers that are killed: what both logs are asked.
 *
 * Afterwards every timer is there that has to be, every value is that of its instant, and the history of each entity
 * begins every step where the one before ended: nothing was lost, and nothing written twice.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { eventually } from '../support/eventually.ts'
import { startLoad } from './load.ts'
import type { Checker, Place } from './running.ts'
import type { ServiceChild } from './service-child.ts'

const AT_ONCE = 5

export interface Victims {
  readonly place: Place
  readonly checker: Checker
  /** The one that is killed next. */
  victim(round: number): ServiceChild
  /** Starts another in its place. */
  replace(round: number): Promise<void>
  calm(): Promise<void>
}

/** Events that enter and leave windows of seconds while it runs. */
function startEvents({ pool }: Place, firstId: number): () => Promise<void> {
  const ending = new AbortController()
  const write = async () => {
    for (let id = firstId; !ending.signal.aborted; id += 1) {
      await pool.query(
        `insert into app.event select $1, c.id, 'visit', 1, clock_timestamp() + (random() * 3 - 1) * interval '1 s'
         from app.contact c where c.company_id is not null order by random() limit 1`,
        [id],
      )
      await sleep(20)
    }
  }
  const written = write()
  return () => {
    ending.abort()
    return written
  }
}

type Moment = { readonly point: string; readonly passing: number } | { readonly point: null; readonly afterMs: number }

const moment: fc.Arbitrary<Moment> = fc.oneof(
  fc.integer({ min: 0, max: 1_200 }).map((afterMs): Moment => ({ point: null, afterMs })),
  fc
    .tuple(
      fc.constantFrom('recompute:turn-before-commit', 'recompute:turn-after-commit'),
      fc.integer({ min: 1, max: 12 }),
    )
    .map(([point, passing]): Moment => ({ point, passing })),
)

async function fired({ pool }: Place): Promise<bigint> {
  const { rows } = await pool.query<{ count: bigint }>(
    `select count(*) as count from rescore.feature_history where causes->0->>'op' = 'time'`,
  )
  return rows[0]?.count ?? 0n
}

export async function killWhileTimersFire(victims: Victims, kills: number, seed: number): Promise<void> {
  const { place, checker } = victims
  const moments = fc.sample(moment, { seed, numRuns: kills })
  for (let from = 0; from < kills; from += AT_ONCE) {
    const before = await fired(place)
    const load = startLoad(place, seed + from)
    const endEvents = startEvents(place, 1_000_000 * (from + 1))
    for (const [index, one] of moments.slice(from, from + AT_ONCE).entries()) {
      const child = victims.victim(from + index)
      if (one.point === null) {
        await sleep(one.afterMs)
        child.signal('SIGKILL')
      } else child.killAt(one.point, one.passing)
      expect(await child.ended).toEqual({ signal: 'SIGKILL', error: null })
      await victims.replace(from + index)
    }
    await endEvents()
    await load.stop()
    await victims.calm()
    const after = `${from + AT_ONCE} kills of seed ${seed}`
    expect((await checker.check(place)).differences, after).toEqual([])
    // What was overdue when a worker came back has fired, and it goes on.
    await eventually(async () => expect(await fired(place)).toBeGreaterThan(before))
    const { rows } = await place.pool.query(
      `select entity, key, valid_at, causes from rescore.feature_history h
       where causes->0->>'op' = 'time' and (recorded_at < valid_at or not exists (
         select from json_array_elements(causes) c where to_timestamp((c->>'atMs')::float8 / 1000) = h.valid_at)) limit 5`,
    )
    expect(rows, 'history that is not of its instant').toEqual([])
  }
}
