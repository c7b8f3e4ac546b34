/**
 * Lets as many new nulls of a piece through as the share of each feature allows.
 *
 * Invariants: the piece as a whole is judged, not row by row: it is computed as if there were room for all, and only
 * where there is not are the entities with new nulls computed again, with the room there is. Nothing is asked of the
 * database where there is no new null.
 */
import type { Client } from '../db/pool.ts'
import type { AnyFeature } from '../define/index.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import type { NullRoom } from './expect.ts'
import { holdNulls, type NullCount, ratedOf, readNulls } from './null-count.ts'
import { failureOf, type Outcome } from './outcome.ts'

type Recompute = (outcome: Outcome, room: NullRoom) => Outcome

/** Null now, and not stored as null before. */
function isNewNull({ row, computed }: Outcome, { bit }: FeatureNode): boolean {
  if (computed === null || computed.failure !== null || (computed.values[bit] ?? null) !== null) return false
  return row.epoch === null || (row.stored[bit] ?? null) !== null
}

/** The table after everything of the piece but its new nulls. */
function without(stored: NullCount, outcomes: readonly Outcome[], node: FeatureNode): { rows: number; nulls: number } {
  let { rows, nulls } = stored
  for (const outcome of outcomes) {
    const { row, computed } = outcome
    const wasThere = row.epoch !== null
    const wasNull = wasThere && (row.stored[node.bit] ?? null) === null
    if (computed === null) {
      rows -= wasThere ? 1 : 0
      nulls -= wasNull ? 1 : 0
    } else if (failureOf(outcome) === null && !isNewNull(outcome, node)) {
      rows += wasThere ? 0 : 1
      nulls -= wasNull && (computed.values[node.bit] ?? null) !== null ? 1 : 0
    }
  }
  return { rows, nulls }
}

class Room implements NullRoom {
  readonly #counts: ReadonlyMap<string, { rows: number; nulls: number }>

  constructor(counts: ReadonlyMap<string, { rows: number; nulls: number }>) {
    this.#counts = counts
  }

  take({ name, expect }: AnyFeature, isNewRow: boolean): boolean {
    const count = this.#counts.get(name)
    if (count === undefined) return true
    const rows = count.rows + (isNewRow ? 1 : 0)
    if (count.nulls + 1 > (expect?.maxNullRate ?? 1) * rows) return false
    count.rows = rows
    count.nulls += 1
    return true
  }
}

export class NullLimit {
  readonly #entity: string
  readonly #rated: readonly FeatureNode[]

  constructor(node: EntityNode) {
    this.#entity = node.entity.name
    this.#rated = ratedOf(node)
  }

  /** @param outcomes computed as if there were room for every null */
  async fit(client: Client, outcomes: readonly Outcome[], recompute: Recompute): Promise<readonly Outcome[]> {
    const isAffected = (outcome: Outcome) => this.#rated.some((node) => isNewNull(outcome, node))
    if (!outcomes.some(isAffected)) return outcomes
    await holdNulls(client, this.#entity)
    const stored = await readNulls(client, this.#entity)
    const none = { rows: 0, nulls: 0 }
    const room = new Room(
      new Map(
        this.#rated.map((node) => {
          const { name } = node.feature
          return [name, without(stored.get(name) ?? none, outcomes, node)]
        }),
      ),
    )
    return outcomes.map((outcome) => (isAffected(outcome) ? recompute(outcome, room) : outcome))
  }
}
