/**
 * What a stream yields. The runtime (src/connect) lands the messages between two checkpoints, and the second checkpoint,
 * in one transaction.
 *
 * A row may hold more than its table declares and values that do not fit: what fits no column is kept under its name in
 * the json column `raw`, where the table declares one, and never fails the record. A record is refused, alone, only when
 * its key does not fit or a column that must not be null would be.
 */
import type { Table } from './table.ts'

/** A timestamp may be ISO text or milliseconds since 1970; a whole number beyond 2^53 comes as bigint or text. */
export type CellValue = string | number | bigint | boolean | null | object
export type SourceRow = Readonly<Record<string, CellValue>>

export type DeleteReason = 'archived' | 'gone' | 'privacy' | 'swept'

/** A field as the source itself declares it. */
export interface SourceField {
  readonly name: string
  /** In the words of the source. */
  readonly type: string
}

export type Message<S> =
  /** The record as it is now. Written only if it differs from the stored row; absent columns are left as they are. */
  | {
      readonly op: 'upsert'
      readonly table: Table
      readonly row: SourceRow
      /** A column that only grows at the source: a stored row with a greater value is newer and is left as it is. */
      readonly newerBy?: string
      /** Only where the record is stored already: what came of it is not the whole of it. */
      readonly isPartial?: boolean
    }
  /**
   * The record is gone from the source. `key` holds the key columns. `privacy` also removes what was set aside of it
   * (rescore.reject) and its aliases.
   */
  | { readonly op: 'delete'; readonly table: Table; readonly key: SourceRow; readonly reason: DeleteReason }
  /** The record with key `from` lives on as `into`: the row is removed and the alias kept. */
  | { readonly op: 'merge'; readonly table: Table; readonly from: SourceRow; readonly into: SourceRow }
  /** A row of a table of pairs; `from` and `to` together hold its key. `removed`: the pair is no more. */
  | {
      readonly op: 'edge'
      readonly table: Table
      readonly from: SourceRow
      readonly to: SourceRow
      /** Into the column `label`; left as it is when absent. */
      readonly label?: string | null
      readonly removed?: boolean
    }
  /** All rows of `table` that match `scope` are exactly `rows`: others are deleted. For edges and histories. */
  | { readonly op: 'replace'; readonly table: Table; readonly scope: SourceRow; readonly rows: readonly SourceRow[] }
  /**
   * The source listed every key in (after, upTo] and these are all it has: other rows of that range are deleted.
   * For tables whose one key column is a bigint, and by `column` for rows that belong to such a record (its edges, its
   * history). `after` null: from the lowest key.
   */
  | {
      readonly op: 'sweep'
      readonly table: Table
      /** A bigint column that says whose row it is. Default: the key. */
      readonly column?: string
      readonly after: bigint | null
      readonly upTo: bigint
      readonly present: readonly bigint[]
    }
  /** These keys stood in the listing named `listing` (of the stream's own naming): to be followed by `unlisted`. */
  | {
      readonly op: 'listed'
      readonly table: Table
      readonly listing: string
      readonly keys: readonly SourceRow[]
      /** A listing that was broken off and is forgotten, before these keys are listed. */
      readonly instead?: string
    }
  /**
   * The listing is whole: rows of `table` whose key was never `listed` in it are deleted. For keys of any type. Other
   * listings of the table are forgotten with it, unless `keepsOthers`.
   */
  | {
      readonly op: 'unlisted'
      readonly table: Table
      readonly listing: string
      readonly keepsOthers?: boolean
      /** Share of the rows that may go; beyond it none does, and the pass fails. Ten always may. Default 0.5. */
      readonly mayRemove?: number
    }
  /** One record that cannot be landed: kept in rescore.reject with its reason; the run goes on. */
  | {
      readonly op: 'reject'
      readonly table: Table
      readonly key: string | null
      readonly raw: unknown
      readonly code: string
      readonly reason: string
    }
  /** The fields the source has now: those that are new, gone or of another type are told of by `rescore connectors`. */
  | { readonly op: 'schema'; readonly table: Table; readonly fields: readonly SourceField[] }
  /**
   * Kept with the checkpoint and read back by `context.recall`: an ETag, when something was last looked at. null forgets.
   * `dueMs`: from then on `context.due` names it again.
   */
  | { readonly op: 'remember'; readonly name: string; readonly value: string | null; readonly dueMs?: number }
  /** Covers every message before it. `state` is what the next run of this stream begins with. */
  | { readonly op: 'checkpoint'; readonly state: S; readonly done?: number; readonly total?: number }
