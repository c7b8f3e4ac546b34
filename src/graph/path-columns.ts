/** Columns that relations are followed through, so that whoever makes the tables can index them. */
import type { Table } from '../define/index.ts'
import type { Graph } from './graph.ts'

export interface PathColumn {
  readonly table: Table
  readonly column: string
}

/** Foreign keys of child tables and both ends of associations, each once. */
export function pathColumns(graph: Graph): readonly PathColumn[] {
  const found = new Map<string, PathColumn>()
  const add = (table: Table, column: string) => found.set(`${table.id}.${column}`, { table, column })
  for (const { path } of [...graph.readers.values()].flat()) {
    for (const hop of path) {
      if (hop.kind === 'foreign-key') add(hop.table, hop.column)
      else for (const column of [hop.from, hop.to]) add(hop.through, column)
    }
  }
  return [...found.values()]
}
