/**
 * One statement that loads, for a set of keys, everything some features need: the entity's own columns, aggregates with
 * one scan per path, and the stored feature row.
 *
 * Invariant: one row comes back per key, whether or not the entity exists. Aggregates are lateral, so the plan is an
 * index look-up per key for one key or a thousand, and a prepared generic plan serves both. Every output is text, so that
 * a column of another type does not end the life of a prepared statement ("cached plan must not change result type").
 */
import { quoteIdent, quoteTable } from '../db/pool.ts'
import { SILENCED_BY } from '../graph/silenced.ts'
import { reachedSql } from './path-sql.ts'
import type { Program } from './program.ts'
import { type Statement, statement } from './statement.ts'
import type { WindowSql } from './window-sql.ts'

export interface LoadStatement extends Statement {
  /** Slot → index in the row; -1: not loaded. */
  readonly positions: Int32Array
  /** After the keys, each takes two arrays of as many bounds. */
  readonly windows: readonly WindowSql[]
}

/** Columns before the stored features: key, exists, quarantine's feature and epoch, epoch and mark of the stored row, violations. */
export const FIXED_COLUMNS = 7

/** Looked for only where something is expected. */
function violationsSql({ entity, features }: Program['node']): string {
  if (features.every(({ feature }) => feature.expect === null)) return 'null'
  return `(select json_agg(json_build_array(v.feature, v.effect, v.value, v.accepted_at is not null))
    from rescore.violation v where v.entity = '${entity.name}' and v.key = i.key::text)::text`
}

/** The slots that the features of `bits` read. */
export function slotsOf(program: Program, bits: bigint): ReadonlySet<number> {
  const slots = new Set<number>()
  program.features.forEach(({ bindings }, bit) => {
    if (((bits >> BigInt(bit)) & 1n) === 0n) return
    for (const binding of bindings) if (binding.kind !== 'feature') for (const slot of binding.slots) slots.add(slot)
  })
  return slots
}

function scanSql(program: Program, scan: number, slots: readonly number[]): string {
  const { path, window } = program.scans[scan] ?? { path: [], window: null }
  const table = path.at(-1)?.table.id ?? ''
  const filters = new Set(slots.map((slot) => program.slots[slot]?.filter ?? 'true'))
  // A filter that all share narrows the scan itself.
  const [shared = 'true'] = filters.size === 1 ? filters : []
  const outputs = slots.map((slot) => {
    const { expression, filter } = program.slots[slot] ?? { expression: () => 'null', filter: 'true' }
    return `${expression(filter === shared ? 'true' : filter)} as s${slot}`
  })
  const narrowing = [window?.notLeft ?? 'true', shared].filter((condition) => condition !== 'true')
  return (
    `cross join lateral (select ${outputs.join(', ')} from ${quoteTable(table)} r` +
    ` where ${[reachedSql(path, 'r', 'i.key'), ...narrowing].join(' and ')}) g${scan}`
  )
}

/** @param absent features that have no column to hold a value of theirs yet: null */
export function compileLoad(
  program: Program,
  slots: ReadonlySet<number>,
  absent: ReadonlySet<string> = new Set(),
): LoadStatement {
  const { node, keyType } = program
  const ordered = [...slots].sort((a, b) => a - b)
  const positions = new Int32Array(program.slots.length).fill(-1)
  const outputs = [
    'i.key::text',
    `(e.${quoteIdent(node.key)} is not null)::text`,
    'q.feature',
    'q.epoch::text',
    'f.epoch::text',
    `f.${SILENCED_BY}::text`,
    violationsSql(node),
    ...program.features.map(({ node: { feature } }) =>
      absent.has(feature.name) ? 'null' : `f.${quoteIdent(feature.name)}::text`,
    ),
  ]
  for (const slot of ordered) {
    const { scan, expression } = program.slots[slot] ?? { scan: null, expression: () => 'null' }
    positions[slot] = outputs.push(scan === null ? `(${expression('true')})::text` : `g${scan}.s${slot}::text`) - 1
  }
  const used = program.scans
    .map((_, scan) => [scan, ordered.filter((slot) => program.slots[slot]?.scan === scan)] as const)
    .filter(([, slots]) => slots.length > 0)
  const scans = used.map(([scan, slots]) => scanSql(program, scan, slots))
  const windows = used.map(([scan]) => program.scans[scan]?.window ?? null).filter((window) => window !== null)
  const given = windows.flatMap(({ columns, type }) => columns.map((column) => ({ column, type })))
  const arrays = given.map(({ type }, index) => `, $${index + 2}::text[]::${type}[]`)
  const columns = given.map(({ column }) => `, ${column}`)
  const text = `select ${outputs.join(', ')}
    from unnest($1::text[]::${keyType}[]${arrays.join('')}) as i(key${columns.join('')})
    left join ${quoteTable(node.entity.table.id)} e on e.${quoteIdent(node.key)} = i.key
    left join ${quoteTable(node.featureTable)} f on f.key = i.key
    left join rescore.quarantine q on q.entity = '${node.entity.name}' and q.key = i.key::text
    ${scans.join('\n')}`
  return { ...statement('load', text), positions, windows }
}
