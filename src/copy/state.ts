/**
 * What a copy resumes from: which history of the source it follows, how far, and how far each table's first copy is.
 *
 * Invariant: committed with the rows it covers. `lsn` is the end of a commit of which, and of all before it, every row has
 * landed; nothing above it was ever confirmed to the slot.
 */
import { z } from 'zod'

const phase = z.discriminatedUnion('phase', [
  /** Waits until every transaction below `below` (64-bit id) has ended: their changes may not be in the stream. */
  z.object({ phase: z.literal('waiting'), below: z.string() }),
  z.object({
    phase: z.literal('copying'),
    /** Key of the last row copied, as text; null: none yet. */
    after: z.array(z.string()).nullable(),
    rows: z.number(),
    /** The copy held rows before: those the source no longer has go at the end. */
    isListed: z.boolean(),
  }),
  z.object({ phase: z.literal('following'), rows: z.number() }),
])

export const copyState = z.object({
  system: z.string(),
  timeline: z.number(),
  slot: z.string(),
  publication: z.string(),
  /** Of this slot: drawn when it is made, so that nothing of an earlier one is taken for its own. */
  mark: z.string(),
  /** null: the slot is about to be made. One that is found then is ours, and was never read. */
  lsn: z.string().nullable(),
  /** By name at the source. */
  tables: z.record(z.string(), phase),
})

/** Under this name the stream remembers what its slot keeps at the source, as JSON of a SlotNote. */
export const SLOT_NOTE = '#slot'

export interface SlotNote {
  readonly slot: string
  readonly retainedBytes: number
  readonly atMs: number
}

export type CopyState = z.infer<typeof copyState>
export type Phase = z.infer<typeof phase>

export function isCopying(state: CopyState): boolean {
  return Object.values(state.tables).some(({ phase: name }) => name !== 'following')
}

/** Rows copied so far, of all tables. */
export function rowsCopied(state: CopyState): number {
  return Object.values(state.tables).reduce((sum, table) => sum + ('rows' in table ? table.rows : 0), 0)
}
