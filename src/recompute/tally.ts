/**
 * How often each feature was computed, and how often that moved its value: what computing for nothing costs is seen here.
 *
 * Invariants: counted in memory and added to rescore.feature_tally now and then, outside the stages' transactions, so it
 * slows nothing and wakes nobody; after a crash the counts since the last write are missing, and nothing else is.
 */
import { sleep } from '../db/backoff.ts'
import { isRetriableDbError, type Pool } from '../db/pool.ts'
import { asError } from '../errors.ts'
import type { EntityNode, Graph } from '../graph/graph.ts'
import { plainArray, textArray } from './literals.ts'

const EVERY_MS = 5_000

/** By bit. */
export interface EntityTally {
  readonly computed: Float64Array
  readonly moved: Float64Array
}

const ADD = `insert into rescore.feature_tally as t (entity, feature, computed, moved)
  select u.* from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) as u order by 1, 2
  on conflict (entity, feature) do update set computed = t.computed + excluded.computed,
    moved = t.moved + excluded.moved, updated_at = clock_timestamp()`

interface Count {
  readonly entity: string
  readonly feature: string
  readonly computed: number
  readonly moved: number
}

export class FeatureTally {
  readonly #byEntity: ReadonlyMap<string, { readonly node: EntityNode; readonly tally: EntityTally }>

  constructor(graph: Graph) {
    const empty = (length: number): EntityTally => ({
      computed: new Float64Array(length),
      moved: new Float64Array(length),
    })
    this.#byEntity = new Map(
      [...graph.entities].map(([name, node]) => [name, { node, tally: empty(node.features.length) }]),
    )
  }

  of(entity: string): EntityTally | null {
    return this.#byEntity.get(entity)?.tally ?? null
  }

  /** Adds what was counted since the last write. @throws database errors; then nothing is forgotten */
  async write(pool: Pool): Promise<void> {
    const counts = [...this.#byEntity].flatMap(([entity, { node, tally }]) =>
      node.features.flatMap(({ feature, bit }): readonly Count[] => {
        const [computed = 0, moved = 0] = [tally.computed[bit], tally.moved[bit]]
        return computed === 0 ? [] : [{ entity, feature: feature.name, computed, moved }]
      }),
    )
    if (counts.length === 0) return
    await pool.query(ADD, [
      textArray(counts.map(({ entity }) => entity)),
      textArray(counts.map(({ feature }) => feature)),
      plainArray(counts.map(({ computed }) => computed)),
      plainArray(counts.map(({ moved }) => moved)),
    ])
    // What was counted meanwhile stays.
    for (const { entity, feature, computed, moved } of counts) {
      const found = this.#byEntity.get(entity)
      const bit = found?.node.features.findIndex((one) => one.feature.name === feature) ?? -1
      if (found === undefined || bit < 0) continue
      found.tally.computed[bit] = (found.tally.computed[bit] ?? 0) - computed
      found.tally.moved[bit] = (found.tally.moved[bit] ?? 0) - moved
    }
  }

  /** Until the signal aborts, and once more then. */
  async run(pool: Pool, signal: AbortSignal, onError: (error: Error) => void): Promise<void> {
    for (;;) {
      await sleep(EVERY_MS, signal).catch(() => undefined)
      // What is counted while a write is under way has a round of its own.
      const isLast = signal.aborted
      try {
        await this.write(pool)
      } catch (error) {
        onError(asError(error))
        if (!isRetriableDbError(error)) throw error
      }
      if (isLast) return
    }
  }
}
