/**
 * Columns whose values someone reads from a change, so that capture need not decode the others.
 * Invariant: every value a stage looks at in a change is listed: keys, what paths are followed through, what filters look
 * at, and what features read (kept as old → new with what it caused). Of a feature row the key and whether it was
 * written silently: its values are read from the table.
 */
import type { Graph } from './graph.ts'
import { SILENCED_BY } from './silenced.ts'

/** `schema.name` → columns; of a table that is not there every value is read. */
export type ValueColumns = ReadonlyMap<string, ReadonlySet<string>>

export function valueColumns(graph: Graph): ValueColumns {
  const found = new Map<string, Set<string>>()
  for (const { id, key } of graph.tables) {
    const read = graph.readers.get(id) ?? []
    found.set(id, new Set([...key, ...read.flatMap(({ columns }) => [...columns])]))
  }
  for (const { featureTable } of graph.entities.values()) found.set(featureTable, new Set(['key', SILENCED_BY]))
  return found
}
