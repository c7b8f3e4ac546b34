/** The replay under releases: what goes on, what is looked at, and what has to be true whatever is released. */
import { expect } from 'vitest'
import { type Backfill, ENDED, readBackfill } from '../src/backfill/job.ts'
import type { ProjectConfig } from '../src/define/index.ts'
import { compileGraph } from '../src/graph/compile.ts'
import { explain } from '../src/observe/explain.ts'
import { type VerifyReport, verify } from '../src/observe/verify.ts'
import { waitUntilReflected } from '../src/observe/wait.ts'
import { makePlan } from '../src/plan/plan.ts'
import type { Plan } from '../src/plan/report.ts'
import { loadModels } from '../src/score/registry.ts'
import { eventually } from './support/eventually.ts'
import type { TestDatabase } from './support/pg.ts'
import type { YcPortal } from './yc-portal.ts'
import type { Release } from './yc-releases.ts'
import { historyEnd, LiveLatency, tallyOf } from './yc-stored.ts'

export type YcDays = YcPortal['days']

export interface YcFeaturesRun {
  readonly database: TestDatabase
  /** The service with these definitions; what runs with others ends. */
  switchTo(config: ProjectConfig): Promise<void>
  /** Features computed since the switch. */
  computed(): number
  /** One worker: nothing is computed twice, and what it counted is written before the next one starts. */
  readonly isExact: boolean
  stop(): Promise<void>
  readonly timeoutMs: number
  /** Name of the file of figures. */
  readonly figures: string
}

const EVERY_ONE = 1_000_000
const { signal } = new AbortController()

/** How often a feature may have been computed since `before`. */
interface Allowed {
  readonly before: ReadonlyMap<string, number>
  readonly features: ReadonlySet<string>
  readonly landedBefore: number
  /** All features of an entity that was put aside are computed when it heals. */
  readonly aside: number
}

export class Replay {
  readonly run: YcFeaturesRun
  readonly latency: LiveLatency
  readonly #yc: YcPortal
  #landed = 0
  #allowed: Allowed | null = null

  constructor(run: YcFeaturesRun, yc: YcPortal) {
    this.run = run
    this.#yc = yc
    this.latency = new LiveLatency(run.database)
  }

  async settled(): Promise<void> {
    const { database, timeoutMs } = this.run
    await waitUntilReflected({ url: database.url, timeoutMs, signal })
  }

  async now(): Promise<string> {
    const { rows } = await this.run.database.query<{ now: string }>('select clock_timestamp()::text as now')
    return rows[0]?.now ?? ''
  }

  /** Every entity is tried. */
  async plan(config: ProjectConfig): Promise<Plan> {
    await using models = await loadModels(config.models)
    const { pool } = this.run.database
    const approveAbove = config.backfill?.approveAbove ?? 0
    return await makePlan({ pool, graph: compileGraph(config), models, sample: EVERY_ONE, approveAbove, signal })
  }

  /** The changes of these dates happen, are read, and are reflected. */
  async live(days: YcDays, kind: 'calm' | 'during'): Promise<void> {
    for (const day of days) {
      const from = await historyEnd(this.run.database)
      const sinceMs = Date.now()
      this.#yc.apply(day)
      this.#landed += await this.#yc.readAll()
      await this.settled()
      await this.latency.add(kind, from, sinceMs)
    }
  }

  ended(id: bigint): Promise<Backfill> {
    const { database, timeoutMs } = this.run
    return eventually(
      async () => {
        const backfill = await readBackfill(database.pool, id)
        if (![...ENDED, 'failed'].includes(backfill.state)) throw new Error(`Backfill ${id} is ${backfill.state}.`)
        return backfill
      },
      { deadlineMs: timeoutMs },
    )
  }

  /** Changes were handled while it ran: otherwise nothing was shown. */
  async expectBeside({ startedAt, endedAt }: Backfill): Promise<void> {
    const { rows } = await this.run.database.query<{ count: number }>(
      `select count(*)::float8 as count from rescore.feature_history
       where cause_count > 0 and recorded_at between $1 and $2`,
      [startedAt, endedAt],
    )
    expect(rows[0]?.count).toBeGreaterThan(0)
  }

  /** From here on only these are computed for any other reason than a change. */
  async mayCompute(features: readonly string[]): Promise<void> {
    const before = await tallyOf(this.run.database)
    this.#allowed = { before, features: new Set(features), landedBefore: this.#landed, aside: await this.#aside() }
  }

  /** Once the service that computed has ended. A landed row makes at most one entity dirty. */
  async judgeTally(): Promise<void> {
    if (this.#allowed === null || !this.run.isExact) return
    const { before, features, landedBefore, aside } = this.#allowed
    const most = this.#landed - landedBefore + aside
    const now = await tallyOf(this.run.database)
    const tooOften = [...now].filter(
      ([feature, count]) => !features.has(feature) && count - (before.get(feature) ?? 0) > most,
    )
    expect(tooOften, `computed more than ${most} times`).toEqual([])
  }

  async #aside(): Promise<number> {
    const { rows } = await this.run.database.query('select from rescore.quarantine')
    return rows.length
  }

  /** Every entity at the target epoch, and every value what it is from scratch. */
  async check(config: ProjectConfig): Promise<VerifyReport> {
    const { database, timeoutMs } = this.run
    await this.settled()
    await using models = await loadModels(config.models)
    const { pool, url } = database
    const graph = compileGraph(config)
    const report = await verify({ pool, url, graph, models, sample: null, signal, timeoutMs, recheckPausesMs: [] })
    expect(report.differences).toEqual([])
    expect(report.stale).toBe(0)
    const { rows } = await database.query(
      `with target as (select max(changed_in_epoch) as epoch from rescore.definition)
       select key::text from rescore.features_company, target where features_company.epoch < target.epoch
         and not exists (select from rescore.quarantine q, target where q.key = features_company.key::text and q.epoch = target.epoch)`,
    )
    expect(rows).toEqual([])
    return report
  }

  /** What is true of the values, and who is put aside: seen in the table, and told by explain. */
  async expectHolds({ name, holds, refuses = 'false' }: Release, began: string): Promise<void> {
    const { query, pool } = this.run.database
    const of =
      'from hubspot.companies c join rescore.features_company f on f.key = c.id where $1::timestamptz is not null'
    const wrong = await query(`select c.id ${of} and not (${refuses}) and not (${holds})`, [began])
    expect(wrong.rows, name).toEqual([])
    const expected = await query<{ key: string }>(
      `select c.id::text as key from hubspot.companies c where ${refuses} order by 1`,
    )
    const aside = await query<{ key: string }>('select key from rescore.quarantine order by 1')
    expect(aside.rows, name).toEqual(expected.rows)
    const [first] = aside.rows
    if (first === undefined) return
    const { quarantined } = await explain(pool, { entity: 'company', key: first.key, limit: 1 })
    expect(quarantined, name).toMatchObject({ feature: 'one_liner_length', code: 'FEATURE_THREW' })
  }
}
