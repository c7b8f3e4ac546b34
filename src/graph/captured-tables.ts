/** Which tables' changes are captured: what features read, and what is derived from it. All as `schema.name`. */
import type { Graph } from './graph.ts'

export function featureTables(graph: Graph): readonly string[] {
  return [...graph.entities.values()].map(({ featureTable }) => featureTable)
}

/** Source tables and feature tables: all that travels through any log. */
export function capturedTables(graph: Graph): readonly string[] {
  return [...graph.tables.map(({ id }) => id), ...featureTables(graph)]
}
