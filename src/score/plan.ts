/**
 * What a batch means for scoring: the keys each model must look at again.
 *
 * Invariant: a change wakes exactly the models that read one of its changed columns; what is not known counts as
 * changed. Columns the engine keeps beside the values (epoch, positions, times) are no model's input and wake nothing.
 * A silent write wakes nothing, and the one that ends the silence every model. The change alone decides: a write that is
 * not silent wakes scoring also where a silent one has come after it, or its news would be lost.
 */
import { SILENCED_BY } from '../graph/silenced.ts'
import type { Batch, Change } from '../log/log.ts'
import type { Counters, Scorer } from './scorer.ts'
import type { Outcome } from './write.ts'

export interface ScoreWork {
  readonly keys: ReadonlyMap<Scorer, ReadonlySet<string>>
  /** A feature table was emptied: which classifications are left over only a sweep can tell. */
  readonly isTruncated: boolean
  /** Filled by `apply`. */
  outcomes: (readonly [Scorer, Outcome])[]
  counters: Counters
}

interface Reader {
  readonly scorer: Scorer
  readonly columns: ReadonlySet<string>
}

/** Feature table (`schema.name`) to the models that read it. */
export type Readers = ReadonlyMap<string, readonly Reader[]>

export function readersOf(scorers: readonly Scorer[]): Readers {
  const readers = scorers.map((scorer): Reader => {
    const columns = scorer.loaded.manifest.inputs.map(({ feature }) => feature)
    // A row whose key moved is another entity's row, whatever its values.
    return { scorer, columns: new Set([...columns, 'key', SILENCED_BY]) }
  })
  return Map.groupBy(readers, ({ scorer }) => scorer.node.featureTable)
}

function isRead({ op, changed, after }: Change, columns: ReadonlySet<string>): boolean {
  if (typeof after?.[SILENCED_BY] === 'string') return false
  return op !== 'update' || changed === null || changed.some((column) => columns.has(column))
}

/** Pure. Null when no model is concerned. */
export function planScores(readers: Readers, batch: Batch): ScoreWork | null {
  const keys = new Map<Scorer, Set<string>>()
  let isTruncated = false
  for (const entry of batch.entries) {
    if (entry.kind !== 'change') continue
    const concerned = readers.get(entry.table)
    if (concerned === undefined) continue
    if (entry.op === 'truncate') isTruncated = true
    for (const { scorer, columns } of concerned) {
      if (!isRead(entry, columns)) continue
      const woken = keys.get(scorer) ?? new Set()
      for (const row of [entry.before, entry.after]) {
        if (typeof row?.key === 'string') woken.add(row.key)
      }
      if (woken.size > 0) keys.set(scorer, woken)
    }
  }
  if (keys.size === 0 && !isTruncated) return null
  return { keys, isTruncated, outcomes: [], counters: { handled: 0, computed: 0, written: 0 } }
}
