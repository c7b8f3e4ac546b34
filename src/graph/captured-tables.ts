/** Which tables' changes are captured: what features read, and what is derived from it. All as `schema.name`. */
import type { ProjectConfig } from '../define/index.ts'
import type { Graph } from './graph.ts'

export function featureTables(graph: Graph): readonly string[] {
  return [...graph.entities.values()].map(({ featureTable }) => featureTable)
}

/** Source tables and feature tables: all that travels through any log. */
export function capturedTables(graph: Graph): readonly string[] {
  return [...graph.tables.map(({ id }) => id), ...featureTables(graph)]
}

/** Tables that connectors fill, by id; every other source table is the user's own. */
export function filledTables({ connectors }: Pick<ProjectConfig, 'connectors'>): ReadonlySet<string> {
  return new Set(connectors.flatMap(({ streams }) => streams.flatMap(({ tables }) => tables.map(({ id }) => id))))
}
