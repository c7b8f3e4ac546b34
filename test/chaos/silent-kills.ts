/**
 * A silent backfill beside live changes whose workers are killed: what both logs are asked.
 *
 * Afterwards every company that a change touched has the label of its values and is silent no more, every other one has
 * its new values and the label, and mark, of before; everything else is as a recompute from scratch has it.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { act, readBackfill } from '../../src/backfill/job.ts'
import { readProgress } from '../../src/backfill/progress.ts'
import { sleep } from '../../src/db/backoff.ts'
import { ended, SECOND_RELEASE } from '../backfill/setting.ts'
import { eventually } from '../support/eventually.ts'
import { FILLER } from './backfill-kills.ts'
import { STEADY, startLoad } from './load.ts'
import { createChecker, type Place } from './running.ts'

const LONGEST_MS = 1_200
const TOUCHES = 4_000
/** So that it is met at work by all kills, and by touches before, at and after their entity's turn. */
const ENTITIES_PER_KILL = 1.2 * FILLER.count
const TOUCH_EVERY_MS = 20

export interface SilentVictims {
  readonly place: Place
  /** Ends those at work and starts them on the second release. */
  release(): Promise<void>
  kill(round: number): Promise<void>
  /** Waits until everything is reflected. */
  calm(): Promise<void>
}

interface Labelled {
  readonly key: number
  readonly label: string
}

async function labels({ pool }: Place): Promise<ReadonlyMap<number, string>> {
  const { rows } = await pool.query<Labelled>(
    `select key::integer as key, label from rescore.classification where model = 'pair' and key::bigint >= $1`,
    [FILLER.first],
  )
  return new Map(rows.map(({ key, label }) => [key, label]))
}

/** Changes that move no input of the model, of companies at random. Resolves with those that were changed. */
function startTouching({ pool }: Place, seed: number) {
  const keys = fc.sample(fc.integer({ min: FILLER.first, max: FILLER.last }), { seed, numRuns: TOUCHES })
  const touched = new Set<number>()
  let isOver = false
  let failed: unknown = null
  const touch = async () => {
    for (const key of keys) {
      if (isOver) return
      await pool.query(`update app.company set name = name || '!' where id = $1`, [key])
      touched.add(key)
      await sleep(TOUCH_EVERY_MS)
    }
  }
  const running = touch().catch((error: unknown) => {
    failed = error
  })
  return {
    stop: async (): Promise<ReadonlySet<number>> => {
      isOver = true
      await running
      if (failed !== null) throw failed
      return touched
    },
  }
}

async function planned({ pool }: Place): Promise<bigint> {
  return eventually(
    async () => {
      const [newest] = await readProgress(pool, 1)
      if (newest?.state !== 'planned') throw new Error('The release has planned nothing yet.')
      return newest.id
    },
    { deadlineMs: 60_000 },
  )
}

export async function killInSilence(victims: SilentVictims, kills: number, seed: number): Promise<void> {
  const { place, calm } = victims
  await using checker = await createChecker(SECOND_RELEASE())
  const before = await labels(place)
  expect(new Set(before.values())).toEqual(new Set(['quiet', 'busy']))
  await victims.release()
  const id = await planned(place)
  await place.pool.query('update rescore.backfill set rate = $2 where id = $1', [
    id,
    Math.ceil(ENTITIES_PER_KILL / kills),
  ])
  await act(place.pool, id, 'approve', { isSilent: true })
  const touching = startTouching(place, seed)
  const load = startLoad(place, seed, STEADY)
  const moments = fc.sample(fc.integer({ min: 0, max: LONGEST_MS }), { seed, numRuns: kills })
  for (const [round, afterMs] of moments.entries()) {
    await sleep(afterMs)
    await victims.kill(round)
  }
  await ended(place, await readBackfill(place.pool, id))
  await load.stop()
  const touched = await touching.stop()
  await calm()
  expect((await checker.check(place)).differences, `${kills} kills of seed ${seed}`).toEqual([])
  const after = await labels(place)
  const { rows } = await place.pool.query<{ key: number; visits: number; is_silent: boolean }>(
    `select key::integer as key, visits::integer as visits, silenced_by is not distinct from $2 as is_silent
     from rescore.features_company where key >= $1 order by key`,
    [FILLER.first, id],
  )
  expect(rows.length).toBe(FILLER.count)
  const wrong = rows.filter(({ key, visits, is_silent }) => {
    const isTouched = touched.has(key)
    return visits !== 900 || is_silent === isTouched || after.get(key) !== (isTouched ? 'busy' : before.get(key))
  })
  expect(touched.size).toBeGreaterThan(kills)
  expect(wrong.slice(0, 5), `wrong of ${touched.size} touched, after ${kills} kills of seed ${seed}`).toEqual([])
}
