/**
 * Whether tables of the source can be copied, and the mend where they cannot.
 * Invariant: read-only; what passes is copied whole: every change names the row it is of, and every declared column is in
 * the stream.
 */
import { type FoundTable, findTables, keyProblems, type WatchProblem } from '../capture/watchable.ts'
import { kindProblem, rightsProblems, unpublishableOf } from '../capture/watchable-table.ts'
import type { Pool } from '../db/pool.ts'
import type { ConnectorProblem, CopiedTable, CopySpec } from '../define/index.ts'

/** Old keys are in the log when the identity is FULL, or the primary key that was declared. */
function identityProblem(copied: CopiedTable, found: FoundTable): WatchProblem | null {
  if (found.identity === 'f') return null
  const key = [...copied.table.key].sort().join('\n')
  if (found.identity === 'd' && [...found.primaryKey].sort().join('\n') === key) return null
  return {
    code: 'COPY_REPLICA_IDENTITY',
    message: `Changes of ${found.id} do not carry the old values of its declared key (${copied.table.key.join(', ')}).`,
    mend: `Declare its primary key, or: alter table ${found.id} replica identity full;`,
  }
}

function columnProblems({ table }: CopiedTable, found: FoundTable): readonly ConnectorProblem[] {
  return Object.entries(table.columns).flatMap(([name, { kind, nullable }]): readonly ConnectorProblem[] => {
    const column = found.columns.find((one) => one.name === name)
    if (column?.isGenerated === true) {
      return [
        {
          code: 'COPY_COLUMN_GENERATED',
          message: `Column ${found.id}.${name} is generated, and changes of generated columns are not in the log.`,
          mend: 'Declare the columns it is computed from.',
        },
      ]
    }
    if (column !== undefined || (name === 'raw' && kind === 'json')) return []
    return [
      {
        code: 'COPY_COLUMN_MISSING',
        message: `Table ${found.id} of the source has no column ${name}. It has: ${found.columns.map((one) => one.name).join(', ')}.`,
        mend: 'Declare the columns it has: what is declared and not there stays null.',
        // It may have been dropped at the source since: that is drift, and no reason to stop.
        isBlocking: !nullable,
      },
    ]
  })
}

export interface Examined {
  readonly problems: readonly ConnectorProblem[]
  /** By name at the source. */
  readonly found: ReadonlyMap<string, FoundTable>
}

export async function examineSource(pool: Pool, { tables, publication }: CopySpec): Promise<Examined> {
  const ids = tables.map(({ from }) => from)
  const found = await findTables(pool, ids, publication)
  const unpublishable = unpublishableOf(found.values())
  const problems = tables.flatMap((copied): readonly ConnectorProblem[] => {
    const one = found.get(copied.from)
    if (one === undefined) {
      const mend = 'Name a table that is there, as schema.name.'
      return [{ code: 'COPY_TABLE_MISSING', message: `The source has no table ${copied.from}.`, mend }]
    }
    const kind = kindProblem(one)
    if (kind !== null) return [kind]
    const identity = identityProblem(copied, one)
    return [
      ...rightsProblems(copied.table, one, publication, unpublishable),
      ...columnProblems(copied, one),
      ...keyProblems(copied.table, one),
      ...(identity === null ? [] : [identity]),
    ]
  })
  return { problems, found }
}
