/**
 * One change of the source, laid over what is to be landed and over the piece of the table that is under way.
 *
 * Invariants: a row whose large values the stream does not carry (they were not touched) is never put in without them:
 * they come from the piece under way, from the row as it is stored, or are read anew where its key has moved.
 */
import type { CopiedTable, SourceRow } from '../define/index.ts'
import { isPlanted } from '../faults.ts'
import type { Change, Row } from '../log/log.ts'
import type { Batch } from './batch.ts'
import { type Chunk, type ReadOptions, readRows } from './chunk.ts'
import { type Described, keyOf, type MutableRow, toRow } from './describe.ts'
import { refused } from './error.ts'

export interface ApplyTo {
  readonly copied: CopiedTable
  readonly described: Described
  readonly batch: Batch
  /** The piece under way, if it is of this table. */
  readonly chunk: Chunk | null
  /** Rows that come meanwhile are named to the listing of the first copy. */
  readonly isListed: boolean
  readonly reading: ReadOptions | null
}

/** @throws SourceError COPY_REPLICA_IDENTITY when the row cannot be told */
function oldRow({ copied, described }: ApplyTo, before: Row): SourceRow {
  const row = toRow(described, before)
  if (copied.table.key.every((column) => row[column] !== undefined)) return row
  throw refused(
    'COPY_REPLICA_IDENTITY',
    `Changes of ${copied.from} no longer carry the old values of its key (${copied.table.key.join(', ')}).`,
    `At the source: alter table ${copied.from} replica identity full;`,
  )
}

export async function applyChange(change: Change, to: ApplyTo): Promise<void> {
  const { copied, described, batch } = to
  const chunk = isPlanted('copy-changes-forgotten') ? null : to.chunk
  if (change.op === 'truncate') {
    batch.truncated(copied)
    chunk?.rows.clear()
    return
  }
  const before = change.before === null ? null : oldRow(to, change.before)
  if (change.after === null) {
    if (before === null) return
    batch.deleted(copied, before)
    chunk?.rows.delete(keyOf(copied, before))
    return
  }
  const after = toRow(described, change.after)
  const key = keyOf(copied, after)
  const oldKey = before === null ? key : keyOf(copied, before)
  const underWay = chunk?.rows.get(oldKey)
  const hasMoved = oldKey !== key
  if (hasMoved && before !== null) {
    batch.deleted(copied, before)
    chunk?.rows.delete(oldKey)
  }
  const row = [...described.keys()].every((name) => name in after)
    ? after
    : await completed(to, after, hasMoved, underWay)
  if (row !== null) {
    batch.whole(copied, row, to.isListed)
    chunk?.rows.delete(key)
  } else if (!hasMoved) batch.partial(copied, after)
}

/** The whole row, where it can be told; null: only what came is known, or the row is gone again. */
async function completed(
  { reading, copied }: ApplyTo,
  after: MutableRow,
  hasMoved: boolean,
  underWay: MutableRow | undefined,
): Promise<MutableRow | null> {
  // Older than the snapshot or not: what was not touched is what the snapshot shows.
  if (underWay !== undefined) return { ...underWay, ...after }
  if (!hasMoved || reading === null) return null
  // Under its new key it may never be looked for: the piece it would be in may have been read.
  const [row] = await readRows(reading, [copied.table.key.map((column) => String(after[column] ?? ''))])
  return row ?? null
}
