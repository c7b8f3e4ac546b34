/**
 * Definitions that change on the live replay: while real companies and their real changes go on, features are added,
 * changed, renamed, removed and put back, one is made wrong and then right again, and one is recomputed on demand.
 *
 * After each: what the plan said is what happened, every entity is at the target epoch, what was not to be computed was
 * not, and everything stored equals a recompute from scratch. RESCORE_YC_MONTHS=all replays every date. Figures, with the
 * latency of live changes calm and beside a backfill, go to the folder figures.
 */
import { expect } from 'vitest'
import { createBackfill } from '../src/backfill/create.ts'
import { act, type Backfill, doneCount } from '../src/backfill/job.ts'
import { readProgress } from '../src/backfill/progress.ts'
import { compileGraph } from '../src/graph/compile.ts'
import type { EntityPlan } from '../src/plan/report.ts'
import { Replay, type YcDays, type YcFeaturesRun } from './yc-features-replay.ts'
import { COMPANIES, openYc, saveFigures, wantedDates } from './yc-portal.ts'
import { firstConfig, lastConfig, type Release, releases } from './yc-releases.ts'
import { historyEnd, movedSince, storedOf } from './yc-stored.ts'

/** Entities a second of a backfill beside live changes: slow enough that they come while it runs. */
const LIVE_RATE = 1_500
/** Dates of an everyday run: one for each release, and for the backfill on demand. */
const USUALLY = releases.length + 1

async function planned(replay: Replay, { name, refuses, config, ...release }: Release): Promise<EntityPlan> {
  const { added = [], changed = [], readers = [], removed = [], models = [] } = release
  const [plan] = (await replay.plan(config)).entities
  if (plan === undefined) throw new Error(`${name}: the plan is empty.`)
  expect({ ...plan, added: plan.added.toSorted() }, name).toMatchObject({
    added,
    changed,
    readers,
    removed,
    edited: [],
    affectedModels: models,
  })
  expect(plan.stale.isExact, name).toBe(true)
  expect(plan.needsApproval, name).toBe(added.length + changed.length > 0)
  expect((plan.sample?.failed ?? 0) > 0, name).toBe(refuses !== undefined)
  return plan
}

/** Nothing else goes on: the job is the plan, to the last entity, value and label. */
async function alone(replay: Replay, plan: EntityPlan, { id }: Backfill): Promise<Backfill> {
  const { run } = replay
  const from = await historyEnd(run.database)
  const computedBefore = run.computed()
  await act(run.database.pool, id, 'approve')
  const done = await replay.ended(id)
  await replay.settled()
  const { sample, changed, added, readers } = plan
  if (sample === null) throw new Error(`Nothing was tried: ${plan.unsampled}`)
  expect(sample.entities).toBe(plan.stale.count)
  expect(doneCount(done)).toBe(plan.stale.count)
  expect(done).toMatchObject({ changed: sample.changed, failed: sample.failed, fresh: 0, gone: 0 })
  const { features, labels } = await movedSince(run.database, from)
  expect(features).toEqual(new Map(sample.features.map((shadow) => [shadow.feature, shadow.changed])))
  const flipped = sample.labels.filter((label) => label.flipped > 0)
  expect(labels).toEqual(new Map(flipped.map((label) => [label.model, label.flipped])))
  if (run.isExact) {
    const asked = plan.stale.count * (changed.length + added.length)
    const computed = run.computed() - computedBefore
    expect(computed).toBeGreaterThanOrEqual(asked)
    expect(computed).toBeLessThanOrEqual(asked + plan.stale.count * readers.length)
  }
  return done
}

/** Beside the changes of a date: the plan, but for the entities these touch. */
async function besideChanges(replay: Replay, plan: EntityPlan, { id }: Backfill, days: YcDays): Promise<Backfill> {
  const { run } = replay
  await run.database.query('update rescore.backfill set rate = $2 where id = $1', [id, LIVE_RATE])
  await act(run.database.pool, id, 'approve')
  const [done] = await Promise.all([replay.ended(id), replay.live(days, 'during')])
  await replay.settled()
  const touched = new Set(days.flatMap(({ changes }) => changes.map((change) => change.id))).size
  await replay.expectBeside(done)
  const { changed, failed, fresh, gone } = done
  const about = (count: number, wanted: number) => expect(Math.abs(count - wanted)).toBeLessThanOrEqual(touched)
  about(doneCount(done), plan.stale.count)
  about(changed, plan.sample?.changed ?? 0)
  about(failed, plan.sample?.failed ?? 0)
  about(fresh + gone, 0)
  return done
}

async function work(replay: Replay, release: Release, plan: EntityPlan, days: YcDays): Promise<Backfill | null> {
  const { added, changed, readers, stale } = plan
  if (stale.count === 0) {
    await replay.live(days, 'calm')
    return null
  }
  const [job] = await readProgress(replay.run.database.pool, 1)
  if (job === undefined) throw new Error(`${release.name}: no backfill was planned.`)
  expect(job, release.name).toMatchObject({ state: 'planned', total: stale.count, isTotalExact: true })
  expect(job.features).toEqual([...added, ...changed, ...readers].toSorted())
  const now = release.isLive ? days.slice(0, 1) : []
  const done = release.isLive ? await besideChanges(replay, plan, job, now) : await alone(replay, plan, job)
  expect(done.state).toBe('done')
  await replay.live(days.slice(now.length), 'calm')
  return done
}

function countsOf({ total, changed, unchanged, fresh, failed, gone, startedAt, endedAt }: Backfill) {
  const seconds = (Date.parse(endedAt ?? '') - Date.parse(startedAt ?? '')) / 1_000
  return { total, changed, unchanged, fresh, failed, gone, seconds }
}

/** What the plan said would come of it. */
function told({ sample }: EntityPlan) {
  if (sample === null) return null
  const { entities, changed, failed } = sample
  const moved = Object.fromEntries(sample.features.map((shadow) => [shadow.feature, shadow.changed]))
  return { entities, changed, failed, moved, flipped: sample.labels.map(({ model, flipped }) => ({ model, flipped })) }
}

async function make(replay: Replay, release: Release, days: YcDays): Promise<object> {
  const { database, switchTo } = replay.run
  const plan = await planned(replay, release)
  const kept = await Promise.all(plan.removed.map((feature) => storedOf(database, feature)))
  await switchTo(release.config)
  await replay.judgeTally()
  const began = await replay.now()
  await replay.mayCompute([...plan.added, ...plan.changed, ...plan.readers])
  const done = await work(replay, release, plan, days)
  await replay.check(release.config)
  await replay.expectHolds(release, began)
  for (const [index, feature] of plan.removed.entries()) {
    const now = await storedOf(database, feature)
    const lost = [...(kept[index] ?? [])].filter(([key, value]) => now.has(key) && now.get(key) !== value)
    expect(lost, `values of ${feature}, which is no longer in the code`).toEqual([])
  }
  expect((await replay.plan(release.config)).isEmpty, release.name).toBe(true)
  return {
    release: release.name,
    stale: plan.stale.count,
    sample: told(plan),
    done: done === null ? null : countsOf(done),
  }
}

/** One feature of some entities, while the replay goes on. */
async function onDemand(replay: Replay, days: YcDays): Promise<Backfill> {
  const { database } = replay.run
  const { pool } = database
  const node = compileGraph(lastConfig).entities.get('company')
  if (node === undefined) throw new TypeError('There are companies.')
  const condition = 'numberofemployees >= 10'
  const { rows } = await database.query<{ count: number }>(
    `select count(*)::float8 as count from ${node.entity.table.id} where ${condition}`,
  )
  await replay.mayCompute(['n_tags'])
  const request = {
    policy: 'all',
    features: ['n_tags'],
    condition,
    ids: null,
    priority: null,
    rate: LIVE_RATE,
  } as const
  const job = await createBackfill(pool, node, request, { reason: 'asked', state: 'running' })
  expect(job).toMatchObject({ total: rows[0]?.count, isTotalExact: true })
  const [done] = await Promise.all([replay.ended(job.id), replay.live(days, 'during')])
  const touched = new Set(days.flatMap(({ changes }) => changes.map(({ id }) => id))).size
  expect(Math.abs(doneCount(done) - job.total)).toBeLessThanOrEqual(touched)
  // What a change has moved first is up to date already; what the backfill moves first has no change to explain it.
  expect(done.changed).toBeLessThanOrEqual(touched)
  await replay.check(lastConfig)
  return done
}

export async function replayFeatures(run: YcFeaturesRun): Promise<void> {
  await using yc = await openYc(run.database)
  const replay = new Replay(run, yc)
  const days = wantedDates(yc.days, USUALLY)
  const each = Math.max(1, Math.floor(days.length / USUALLY))
  await run.switchTo(firstConfig)
  try {
    await yc.readAll()
    await replay.settled()
    expect((await replay.check(firstConfig)).entities).toBe(COMPANIES)
    const figures: object[] = []
    for (const [index, release] of releases.entries()) {
      figures.push(await make(replay, release, days.slice(index * each, (index + 1) * each)))
    }
    await run.switchTo(lastConfig)
    await replay.judgeTally()
    const done = await onDemand(replay, days.slice(releases.length * each))
    figures.push({ release: 'none: one feature on demand', done: countsOf(done) })
    expect(yc.warnings).toEqual([])
    expect(yc.errors).toEqual([])
    await saveFigures(run.figures, { live: replay.latency.figures(), releases: figures })
  } finally {
    await run.stop()
  }
  await replay.judgeTally()
}
