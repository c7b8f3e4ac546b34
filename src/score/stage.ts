/**
 * The stage 'score': from changed feature rows to classifications that are true again.
 *
 * Invariants: only models that read a changed column look at the row, only moved inputs are inferred, and only what
 * differs is written; all in the transaction that moves the stage's position, so a crash repeats a batch whole and the
 * repeat finds nothing to write. A classification always follows the feature row as it stands in the same snapshot.
 */
import type { Pool } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import type { Batch } from '../log/log.ts'
import type { ApplyContext, Report, Stage } from '../log/stage.ts'
import { deployModels, shareModels } from './deploy.ts'
import { planScores, type Readers, readersOf, type ScoreWork } from './plan.ts'
import type { LoadedModel, ModelSet } from './registry.ts'
import { type Counters, Scorer } from './scorer.ts'
import { Sweeper } from './sweep.ts'
import { isDifferent, type Outcome } from './write.ts'

export interface ScoreStage extends Stage<ScoreWork> {
  /** Of committed batches, and of sweeps. */
  readonly counters: Readonly<Counters>
}

export interface ScoreStageOptions {
  readonly graph: Graph
  readonly models: ModelSet
  readonly report: Report
  /** Models that were deployed before and replaced are meant, and deployed. */
  readonly isRollback?: boolean | undefined
}

/** Events are for people; a batch of more is not read line by line. */
const MAX_EVENTS_PER_BATCH = 1_000

/** A plan that was made while a table was empty would scan it for good. */
const PLANNER = 'set local enable_seqscan = off;'

class Score implements ScoreStage {
  readonly name = 'score'
  readonly upstream = 'recompute'
  readonly settings = PLANNER
  readonly counters: Counters = { handled: 0, computed: 0, written: 0 }
  readonly #report: Report
  readonly #scorers: readonly Scorer[]
  readonly #readers: Readers
  readonly #sweeper: Sweeper
  readonly #isRollback: boolean
  #hasMadeStale = false

  constructor({ graph, models, report, isRollback = false }: ScoreStageOptions) {
    this.#isRollback = isRollback
    this.#report = report
    this.#scorers = models.models.map((loaded) => new Scorer(loaded, nodeOf(graph, loaded), report))
    this.#readers = readersOf(this.#scorers)
    this.#sweeper = new Sweeper(this.#scorers)
  }

  deploy(pool: Pool): Promise<void> {
    return deployModels(pool, this.#scorers, this.#isRollback)
  }

  async admit({ client }: ApplyContext): Promise<void> {
    await shareModels(
      client,
      this.#scorers.map(({ loaded }) => loaded),
    )
  }

  plan(batch: Batch): ScoreWork | null {
    return planScores(this.#readers, batch)
  }

  async apply(work: ScoreWork, context: ApplyContext): Promise<void> {
    this.#hasMadeStale = work.isTruncated
    // Rows put in after the truncation come as changes of their own; left to find are classifications without a row.
    if (work.isTruncated) this.#sweeper.restart()
    work.outcomes = []
    work.counters = { handled: 0, computed: 0, written: 0 }
    for (const [scorer, keys] of work.keys) {
      for (const outcome of await scorer.score(keys, context, work.counters)) work.outcomes.push([scorer, outcome])
    }
  }

  committed(work: ScoreWork): void {
    this.#count(work.counters)
    const different = work.outcomes.filter(([, outcome]) => isDifferent(outcome))
    for (const [scorer, outcome] of different.slice(0, MAX_EVENTS_PER_BATCH)) this.#tell(scorer.loaded, outcome)
  }

  sweepNeeded(): boolean {
    return this.#hasMadeStale
  }

  async sweep(context: ApplyContext): Promise<boolean> {
    if (context.isShared === true) await this.admit(context)
    const counters = { handled: 0, computed: 0, written: 0 }
    const isMoreLeft = await this.#sweeper.piece(context, counters)
    this.#count(counters)
    return isMoreLeft
  }

  #tell({ model, version }: LoadedModel, { key, classification, stored, features }: Outcome): void {
    const { label, probability } = classification
    this.#report({
      type: 'scored',
      model: model.name,
      version,
      entity: model.entity.name,
      key,
      from: stored === null ? null : { label: stored.label, probability: stored.probability },
      to: { label, probability },
      sourceAtMs: features.sourceAtMs,
    })
  }

  #count(counters: Counters): void {
    this.counters.handled += counters.handled
    this.counters.computed += counters.computed
    this.counters.written += counters.written
  }
}

function nodeOf(graph: Graph, { model }: LoadedModel) {
  const node = graph.entities.get(model.entity.name)
  if (node !== undefined) return node
  throw new RescoreError({
    code: 'GRAPH_UNKNOWN_ENTITY',
    fate: 'stop',
    message: `Model '${model.name}' scores ${model.entity.name}, which the graph does not have.`,
    mend: 'Compile the graph from the same models that were loaded.',
  })
}

/** @throws RescoreError GRAPH_UNKNOWN_ENTITY when a model was not among those the graph was compiled from */
export function createScoreStage(options: ScoreStageOptions): ScoreStage {
  return new Score(options)
}
