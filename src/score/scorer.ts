/**
 * Scores keys of one model: reads how they stand, infers where the inputs moved, writes what came out different.
 *
 * Invariants: a row whose fingerprint, version and artifact are the stored ones is neither inferred nor written; a row
 * that is written carries the fingerprint and position of the feature row it was made from. A quarantined entity's
 * feature row stands still, and so does its classification.
 */
import type { EntityNode } from '../graph/graph.ts'
import { holdKeys } from '../log/hold.ts'
import type { ApplyContext, Report } from '../log/stage.ts'
import { encodeRow, fingerprint } from './encode.ts'
import { classify, settle } from './label.ts'
import type { LoadedModel } from './registry.ts'
import { type FeatureRow, readStanding, type Standing, type Stored } from './standing.ts'
import { type Outcome, removeOrphans, saveOutcomes } from './write.ts'

export interface Counters {
  /** Entities looked at, one per model. */
  handled: number
  /** Rows inferred. */
  computed: number
  /** Classifications written or deleted. */
  written: number
}

/** Keys read and written by one statement. */
const MAX_KEYS = 5_000

const LOCK = `select key from rescore.classification where model = $2 and key = any($1::text[]) order by key for update`

interface Moved {
  readonly key: string
  readonly features: FeatureRow
  readonly stored: Stored | null
  readonly fingerprint: string
}

function byKey(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export class Scorer {
  readonly loaded: LoadedModel
  readonly node: EntityNode
  readonly #report: Report

  constructor(loaded: LoadedModel, node: EntityNode, report: Report) {
    this.loaded = loaded
    this.node = node
    this.#report = report
  }

  /** Returns the outcomes that were written; counts into `counters`. */
  async score(keys: Iterable<string>, given: ApplyContext, counters: Counters): Promise<readonly Outcome[]> {
    const sorted = [...keys].sort(byKey)
    const context = given.isShared === true ? await this.#hold(given, sorted) : given
    const written: Outcome[] = []
    for (let from = 0; from < sorted.length; from += MAX_KEYS) {
      context.signal.throwIfAborted()
      const piece = sorted.slice(from, from + MAX_KEYS)
      const standing = await readStanding(context.client, this.loaded, this.node, piece)
      const gone = standing.filter(({ features, stored }) => features === null && stored !== null)
      const removed = await removeOrphans(
        context,
        this.loaded,
        gone.map(({ key }) => key),
      )
      const { moved, matrix } = this.#moved(standing)
      const saved = await saveOutcomes(context, this.loaded, await this.#infer(moved, matrix))
      written.push(...saved)
      counters.handled += piece.length
      counters.computed += moved.length
      counters.written += saved.length + removed
    }
    return written
  }

  /** From here on nobody else scores these keys, and what is read is what the last one left. */
  async #hold(context: ApplyContext, keys: readonly string[]): Promise<ApplyContext> {
    if (keys.length === 0) return context
    const { name } = this.loaded.model
    const lock = { name: 'rescore-hold-classification', text: LOCK, values: [name] }
    return holdKeys(context, { space: `model ${name}`, lock }, keys)
  }

  /** The rows whose inputs or model are not those of the stored classification, and their matrix. */
  #moved(standing: readonly Standing[]): { moved: readonly Moved[]; matrix: Float32Array } {
    const { manifest, version, artifactHash } = this.loaded
    const width = manifest.inputs.length
    const matrix = new Float32Array(standing.length * width)
    const moved: Moved[] = []
    for (const { key, features, stored } of standing) {
      if (features === null) continue
      // A row that turns out unmoved is overwritten by the next.
      const at = moved.length * width
      encodeRow(manifest, features.values, matrix, at)
      const print = fingerprint(matrix.subarray(at, at + width))
      const isCurrent =
        stored?.fingerprint === print && stored.modelVersion === version && stored.artifactHash === artifactHash
      if (!isCurrent) moved.push({ key, features, stored, fingerprint: print })
    }
    return { moved, matrix: matrix.subarray(0, moved.length * width) }
  }

  async #infer(moved: readonly Moved[], matrix: Float32Array): Promise<readonly Outcome[]> {
    if (moved.length === 0) return []
    const { manifest } = this.loaded
    const classes = manifest.classes.length
    const found = await this.loaded.infer(matrix, moved.length)
    const outcomes: Outcome[] = []
    const unusable: string[] = []
    for (const [index, row] of moved.entries()) {
      const probabilities = [...found.subarray(index * classes, (index + 1) * classes)]
      if (!probabilities.every(Number.isFinite)) {
        unusable.push(row.key)
        continue
      }
      const fresh = classify(manifest, probabilities)
      outcomes.push({ ...row, classification: row.stored === null ? fresh : settle(manifest, fresh, row.stored) })
    }
    if (unusable.length > 0) this.#reportUnusable(unusable)
    return outcomes
  }

  /** Its neighbours go through; the classification stays as it was until an input moves. */
  #reportUnusable(keys: readonly string[]): void {
    const { name, entity } = this.loaded.model
    this.#report({
      type: 'failed',
      stage: 'score',
      code: 'MODEL_NOT_FINITE',
      message: `Model '${name}' gives no finite probability for ${keys.length} of ${entity.name}, the first '${keys[0]}'.`,
    })
  }
}
