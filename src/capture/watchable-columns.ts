/**
 * Columns as they are declared against those that are there.
 * Invariant: a column passes only where PostgreSQL's type means the same to every reader (loading, filters, verify) as the
 * declared kind does; widening is not guessed at. Pure.
 */
import { type ColumnKind, POSTGRES_TYPE, type Table } from '../define/index.ts'
import type { FoundColumn, FoundTable, WatchProblem } from './watchable.ts'

/** PostgreSQL's types a kind may be declared for, as format_type names them; the first is how we write it. */
const TYPES: Readonly<Record<ColumnKind, readonly string[]>> = {
  text: ['text', 'character varying'],
  integer: ['integer', 'smallint'],
  bigint: ['bigint'],
  number: ['numeric'],
  decimal: ['numeric'],
  float: ['double precision'],
  boolean: ['boolean'],
  date: ['date'],
  timestamp: ['timestamp with time zone'],
  json: ['jsonb'],
  uuid: ['uuid'],
}

function kindsFor(type: string): readonly string[] {
  return Object.entries(TYPES).flatMap(([kind, types]) => (types.includes(type) ? [`${kind}()`] : []))
}

function conversion(found: FoundTable, { name, type }: FoundColumn, kind: ColumnKind): string {
  const wanted = POSTGRES_TYPE[kind]
  const column = `"${name.replaceAll('"', '""')}"`
  const using = type === 'timestamp without time zone' && kind === 'timestamp' ? ` at time zone 'UTC'` : `::${wanted}`
  return `alter table ${found.id} alter column ${column} type ${wanted} using ${column}${using};`
}

function typeProblem(found: FoundTable, column: FoundColumn, kind: ColumnKind): WatchProblem {
  const kinds = kindsFor(column.type)
  const change = conversion(found, column, kind)
  return {
    code: 'CAPTURE_COLUMN_TYPE',
    message: `Column ${found.id}.${column.name} is ${column.type} in the database but ${kind}() in the declaration.`,
    mend: kinds.length > 0 ? `Declare it as ${kinds.join(' or ')}, or change it: ${change}` : `Change it: ${change}`,
  }
}

function generatedProblem(found: FoundTable, { name }: FoundColumn): WatchProblem {
  return {
    code: 'CAPTURE_COLUMN_TYPE',
    message: `Column ${found.id}.${name} is generated, and changes of generated columns are not in the log.`,
    mend: 'Declare the columns it is computed from, and compute it in the feature.',
  }
}

function missingProblem(found: FoundTable, name: string): WatchProblem {
  const near = found.columns.find((column) => column.name.toLowerCase() === name.toLowerCase())
  const there = found.columns.map((column) => column.name).join(', ')
  return {
    code: 'CAPTURE_COLUMN_MISSING',
    message: `Table ${found.id} has no column ${name}. It has: ${there}.`,
    mend: near === undefined ? 'Take the column out of the declaration, or add it.' : `Declare it as ${near.name}.`,
  }
}

export function columnProblems(table: Table, found: FoundTable): readonly WatchProblem[] {
  return Object.entries(table.columns).flatMap(([name, { kind, nullable }]): readonly WatchProblem[] => {
    const column = found.columns.find((candidate) => candidate.name === name)
    if (column === undefined) return [missingProblem(found, name)]
    if (column.isGenerated) return [generatedProblem(found, column)]
    if (!TYPES[kind].includes(column.type)) return [typeProblem(found, column, kind)]
    if (!nullable && !column.isNotNull) {
      return [
        {
          code: 'CAPTURE_COLUMN_TYPE',
          message: `Column ${found.id}.${name} may be null in the database but is declared .notNull().`,
          mend: `Declare it without .notNull(), or: alter table ${found.id} alter column "${name}" set not null;`,
        },
      ]
    }
    return []
  })
}
