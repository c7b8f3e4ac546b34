/**
 * The columns of a data set, and how a value becomes a cell of one.
 * Invariant: pure; the columns of the list come first, in their order, then the features in theirs.
 */
import { type ColumnKind, columnOf, type FeatureType, type FeatureValue } from '../define/index.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { columnsOf, type LabelColumns } from './labels.ts'
import type { Cell, Column } from './parquet.ts'

export interface Layout {
  readonly labels: LabelColumns
  /** Of the entity's key. */
  readonly kind: ColumnKind
  readonly columns: readonly Column[]
  keyCell(key: string): Cell
}

interface Asked {
  readonly node: EntityNode
  readonly features: readonly FeatureNode[]
  readonly key: string
  readonly at: string
}

/** When the newest row that counts was recorded: never later than the row's own time. Null: nothing was known. */
export const RECORDED = '_recorded_at'

const COLUMN_TYPE = { number: 'double', integer: 'int64', boolean: 'boolean', text: 'text' } as const

/** @returns undefined for a value of another type, from when the feature had that */
export function cellOf(type: FeatureType, value: FeatureValue): Cell | undefined {
  if (value === null) return null
  if (type === 'integer') return Number.isSafeInteger(value) ? BigInt(Number(value)) : undefined
  const expected = type === 'text' ? 'string' : type
  return typeof value === expected ? value : undefined
}

/** @throws RescoreError DATASET_ENTITIES when the list lacks a column or has one twice */
export function layoutOf({ node, features, key, at }: Asked, header: readonly string[]): Layout {
  const names = features.map(({ feature }) => feature.name)
  const labels = columnsOf(header, key, at, [...names, RECORDED])
  const { kind } = columnOf(node.entity.table, node.key)
  const keyType = kind === 'integer' ? 'int32' : kind === 'bigint' ? 'int64' : 'text'
  const columns: readonly Column[] = [
    ...header.map((name): Column => ({ name, type: name === key ? keyType : name === at ? 'timestamp' : 'text' })),
    ...features.map(({ feature }): Column => ({ name: feature.name, type: COLUMN_TYPE[feature.type] })),
    { name: RECORDED, type: 'timestamp' },
  ]
  const keyCell = (text: string): Cell =>
    keyType === 'int32' ? Number(text) : keyType === 'int64' ? BigInt(text) : text
  return { labels, kind, columns, keyCell }
}
