/**
 * An eye of its own on the database: does it answer, and what does it hold that an operator should know.
 *
 * Invariants: a connection beside the pool of the stages, so that busy stages do not look like a lost database; every
 * question ends within its time, a half-open connection included; PostgreSQL is asked at most once in the time an answer
 * is kept, however often the ports are read. Closed connections are opened anew by the next question.
 */
import { createPool, type Pool } from '../db/pool.ts'
import { asError } from '../errors.ts'
import { type PastSummary, readPastSummary } from '../history/describe.ts'
import { nowSql } from '../log/clock.ts'
import { type FeatureFigures, readFeatureFigures } from './feature-figures.ts'
import { countViolations, type ViolationCount } from './violations.ts'

const ANSWER_WITHIN_MS = 2_000
const REACHABLE_KEPT_MS = 1_000
const FIGURES_KEPT_MS = 5_000
/** Reading them costs some tens of milliseconds of PostgreSQL, for a million rows as well. */
const FEATURES_KEPT_MS = 15_000
/** Of one statement; what takes longer is left out. */
const COUNT_WITHIN_MS = 1_500
/** Rows are counted up to here, so that a look costs the same whatever has piled up. */
export const COUNTED_AT_MOST = 10_000

export interface SlotFigures {
  readonly active: boolean
  readonly lost: boolean
  readonly retained: number
  readonly unconfirmed: number
}

export interface DatabaseFigures {
  /** null: there is none yet. */
  readonly slot: SlotFigures | null
  readonly stages: readonly { readonly stage: string; readonly behind: number }[]
  readonly aside: {
    readonly deadLetters: number
    readonly unpublished: number
    readonly quarantined: number
    readonly rejected: number
    readonly overdue: number
  }
  readonly violations: readonly ViolationCount[]
  readonly past: PastSummary
}

const SLOT = `select s.active, coalesce(s.wal_status = 'lost', false) as lost,
    greatest(0, coalesce(pg_current_wal_insert_lsn() - s.restart_lsn, 0))::float8 as retained,
    greatest(0, coalesce(pg_current_wal_insert_lsn() - s.confirmed_flush_lsn, 0))::float8 as unconfirmed
  from pg_replication_slots s join rescore.capture c on c.slot = s.slot_name`

const STAGES = `select stage, greatest(0, pg_current_wal_insert_lsn() - reflected_lsn)::float8 as behind
  from rescore.stage_position where topic = '' and reflected_lsn > '0/0' order by stage`

const counted = (table: string) => `(select count(*) from (select from ${table} limit ${COUNTED_AT_MOST}) rows)::float8`
const ASIDE = `select ${counted('rescore.dead_letter')} as "deadLetters", ${counted('rescore.unpublished')} as unpublished,
  ${counted('rescore.quarantine')} as quarantined, ${counted('rescore.reject')} as rejected,
  ${counted(`rescore.timer t where t.entity = any(array(select distinct entity from rescore.definition)) and t.due_at <= ${nowSql()}`)} as overdue`

/** One question at a time; its answer is everybody's for a while. */
class Kept<T> {
  readonly #ask: () => Promise<T>
  readonly #keptMs: number
  #answer: Promise<T> | null = null
  #askedMs = Number.NEGATIVE_INFINITY
  #isOpen = false

  constructor(keptMs: number, ask: () => Promise<T>) {
    this.#keptMs = keptMs
    this.#ask = ask
  }

  get(): Promise<T> {
    const isFresh = performance.now() - this.#askedMs < this.#keptMs
    if (this.#answer !== null && (this.#isOpen || isFresh)) return this.#answer
    this.#isOpen = true
    this.#answer = this.#ask().finally(() => {
      this.#isOpen = false
      this.#askedMs = performance.now()
    })
    return this.#answer
  }
}

export class DatabaseWatch implements AsyncDisposable {
  readonly #pool: Pool
  readonly #problem: Kept<string | null>
  readonly #figures: Kept<DatabaseFigures>
  /** Beside the other connection: what counts rows must not make the database look away. */
  readonly #counting: Pool
  readonly #features: Kept<readonly FeatureFigures[] | Error>
  #lastFeatures: readonly FeatureFigures[] | Error | null = null

  constructor(url: string) {
    this.#pool = createPool({ url, applicationName: 'rescore health', max: 1, answerWithinMs: ANSWER_WITHIN_MS })
    this.#problem = new Kept(REACHABLE_KEPT_MS, () => this.#reach())
    this.#figures = new Kept(FIGURES_KEPT_MS, () => this.#look())
    const answerWithinMs = 2 * COUNT_WITHIN_MS
    this.#counting = createPool({ url, applicationName: 'rescore health', max: 1, answerWithinMs })
    this.#features = new Kept(FEATURES_KEPT_MS, () =>
      readFeatureFigures(this.#counting, COUNT_WITHIN_MS).catch((error: unknown) => asError(error)),
    )
  }

  /** null: it answers; else why not, without names or values. */
  problem(): Promise<string | null> {
    return this.#problem.get()
  }

  /** @throws when it does not answer, or is not set up yet */
  figures(): Promise<DatabaseFigures> {
    return this.#figures.get()
  }

  /** As they last were, or why they could not be read; they are asked for anew, and not waited for. null: not yet. */
  features(): readonly FeatureFigures[] | Error | null {
    void this.#features.get().then((found) => {
      this.#lastFeatures = found
    })
    return this.#lastFeatures
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#pool.end(), this.#counting.end()])
  }

  async #reach(): Promise<string | null> {
    try {
      await this.#pool.query('select')
      return null
    } catch (thrown) {
      const error = asError(thrown)
      const code = 'code' in error && typeof error.code === 'string' ? error.code : 'no answer in time'
      return `the database cannot be reached (${code})`
    }
  }

  async #look(): Promise<DatabaseFigures> {
    const slot = await this.#pool.query<SlotFigures>(SLOT)
    const stages = await this.#pool.query<DatabaseFigures['stages'][number]>(STAGES)
    const aside = await this.#pool.query<DatabaseFigures['aside']>(ASIDE)
    const none = { deadLetters: 0, unpublished: 0, quarantined: 0, rejected: 0, overdue: 0 }
    const violations = await countViolations(this.#pool)
    const past = await readPastSummary(this.#pool)
    return { slot: slot.rows[0] ?? null, violations, stages: stages.rows, aside: aside.rows[0] ?? none, past }
  }
}
