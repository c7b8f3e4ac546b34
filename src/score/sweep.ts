/**
 * Catching up on classifications no change will wake: never made, made by another version or artifact, or left over
 * without a feature row.
 *
 * A row that was computed silently and has no classification is left alone, unless the model came after it: whoever
 * deploys a model wants it to score what is there.
 *
 * Invariant: it is over only when one whole pass has written nothing. So a piece whose transaction failed, or a crash
 * (which starts a new pass), leaves nothing out, and a row that cannot be scored does not keep it going. One call scans
 * a bounded number of rows and ends after the first piece that held stale ones.
 */
import { quoteTable } from '../db/pool.ts'
import { keyType } from '../graph/key-type.ts'
import { SILENCED_BY } from '../graph/silenced.ts'
import type { ApplyContext } from '../log/stage.ts'
import type { Counters, Scorer } from './scorer.ts'

/** Rows looked at by one statement. */
const SCAN = 2_048
/** Statements of one call while nothing stale is found. */
const MAX_SCANS = 50

type Phase = 'stale' | 'orphans'
const PHASES: readonly Phase[] = ['stale', 'orphans']

/** Lateral with a limit: one index look-up per key, whatever the planner believes of the tables' sizes. */
function scanSql({ node }: Scorer, phase: Phase): string {
  const type = keyType(node)
  const features = quoteTable(node.featureTable)
  const [scanned, lookUp] =
    phase === 'stale'
      ? [
          `select f.key::text as key, f.${SILENCED_BY} is not null and f.computed_at >= coalesce(
             (select d.deployed_at from rescore.model_definition d where d.model = $2), '-infinity') as is_silent
           from ${features} f where ($1::text is null or f.key > $1::text::${type}) order by f.key`,
          `select from rescore.classification c
           where c.model = $2 and c.key = s.key and c.model_version = $3 and c.artifact_hash = $4
           union all
           select where s.is_silent and not exists (
             select from rescore.classification c where c.model = $2 and c.key = s.key)`,
        ]
      : [
          `select c.key from rescore.classification c
           where c.model = $2 and ($1::text is null or c.key > $1) and $3::text is not null and $4::text is not null
           order by c.key`,
          `select from ${features} f where f.key = s.key::${type}`,
        ]
  return `with scanned as materialized (${scanned} limit ${SCAN}),
    numbered as (select key, row_number() over () as number from scanned)
    select (select count(*)::integer from scanned) as count,
      (select key from numbered order by number desc limit 1) as last,
      array(select s.key from scanned s left join lateral (select true as found from (${lookUp}) l limit 1) l on true
        where l.found is null) as keys`
}

interface Place {
  readonly scorer: number
  readonly phase: number
  readonly after: string | null
}

const BEGIN: Place = { scorer: 0, phase: 0, after: null }

export class Sweeper {
  readonly #scorers: readonly Scorer[]
  #place = BEGIN
  #hasWritten = false

  constructor(scorers: readonly Scorer[]) {
    this.#scorers = scorers
  }

  /** What the present pass has seen so far says nothing any more. */
  restart(): void {
    this.#place = BEGIN
    this.#hasWritten = false
  }

  /** One bounded piece. Returns whether anything may be left. */
  async piece(context: ApplyContext, counters: Counters): Promise<boolean> {
    for (let scans = 0; scans < MAX_SCANS; scans += 1) {
      const scorer = this.#scorers[this.#place.scorer]
      const phase = PHASES[this.#place.phase]
      if (scorer === undefined || phase === undefined) {
        const hadWritten = this.#hasWritten
        this.restart()
        return hadWritten
      }
      context.signal.throwIfAborted()
      const { keys, next } = await this.#scan(context, scorer, phase)
      const before = counters.written
      await scorer.score(keys, context, counters)
      if (counters.written > before) this.#hasWritten = true
      this.#place = this.#after(next)
      if (keys.length > 0) return true
    }
    return true
  }

  async #scan(context: ApplyContext, scorer: Scorer, phase: Phase) {
    const { model, version, artifactHash } = scorer.loaded
    const { rows } = await context.client.query<{ count: number; last: string | null; keys: readonly string[] }>({
      name: `rescore-unscored-${phase}-${model.name}`,
      text: scanSql(scorer, phase),
      values: [this.#place.after, model.name, version, artifactHash],
    })
    const { count, last, keys } = rows[0] ?? { count: 0, last: null, keys: [] }
    return { keys, next: count < SCAN ? null : last }
  }

  #after(next: string | null): Place {
    const { scorer, phase } = this.#place
    if (next !== null) return { scorer, phase, after: next }
    if (phase + 1 < PHASES.length) return { scorer, phase: phase + 1, after: null }
    return { scorer: scorer + 1, phase: 0, after: null }
  }
}
