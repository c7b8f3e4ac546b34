/**
 * Which columns of a source table are copied, and how each value is.
 * Invariant: declared columns that are there; the others only where the copy has a column `raw` to keep them in.
 */
import type { CopiedTable, SourceRow } from '../define/index.ts'
import type { SourceType } from './types.ts'
import { type Convert, converterOf } from './values.ts'

const RAW = 'raw'

export type Described = ReadonlyMap<string, Convert>

export interface SourceColumn {
  readonly name: string
  readonly oid: number
}

/** Whether columns that are not declared are copied as well. */
export function keepsRaw({ table }: CopiedTable): boolean {
  return table.columns[RAW]?.kind === 'json'
}

export function isCopied(copied: CopiedTable, name: string): boolean {
  return Object.hasOwn(copied.table.columns, name) || keepsRaw(copied)
}

export function describe(
  copied: CopiedTable,
  columns: readonly SourceColumn[],
  types: ReadonlyMap<number, SourceType>,
): Described {
  const described = new Map<string, Convert>()
  for (const { name, oid } of columns) {
    const declared = Object.hasOwn(copied.table.columns, name) ? copied.table.columns[name] : undefined
    const type = types.get(oid) ?? { kind: 'other' }
    if (declared !== undefined) described.set(name, converterOf(declared.kind, type))
    else if (keepsRaw(copied)) described.set(name, converterOf('json', type))
  }
  return described
}

export type MutableRow = Record<string, SourceRow[string]>

export function toRow(described: Described, texts: Readonly<Record<string, string | null>>): MutableRow {
  const row: MutableRow = {}
  for (const [name, text] of Object.entries(texts)) {
    const convert = described.get(name)
    if (convert !== undefined) row[name] = text === null ? null : convert(text)
  }
  return row
}

/** The same text for the same row: how a change and a copied row are known to be of one. */
export function keyOf({ table }: CopiedTable, row: SourceRow): string {
  return JSON.stringify(table.key.map((column) => String(row[column] ?? '')))
}

export function keyColumns({ table }: CopiedTable, row: SourceRow): SourceRow {
  return Object.fromEntries(table.key.map((column) => [column, row[column] ?? null]))
}
