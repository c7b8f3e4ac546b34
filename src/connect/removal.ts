/**
 * How much one whole listing may delete.
 *
 * A source that answers an empty or a shortened list with 200 looks like one whose records are gone. So a listing that
 * would delete more than its share of a table deletes nothing: its pass fails, says so, and is repeated, which is the
 * second look.
 */
import type { Table } from '../define/index.ts'
import { RescoreError } from '../errors.ts'

/** So many may always go. */
const ALWAYS = 10
const DEFAULT_SHARE = 0.5

/** @throws RescoreError CONNECT_MASS_REMOVAL, before which nothing may have been committed */
export function assertMayRemove(table: Table, removed: number, left: number, share: number = DEFAULT_SHARE): void {
  const rows = removed + left
  if (removed <= ALWAYS || removed <= share * rows) return
  throw new RescoreError({
    code: 'CONNECT_MASS_REMOVAL',
    fate: 'retry',
    message: `The source no longer lists ${removed} of the ${rows} rows of ${table.id}, more than the ${Math.round(share * 100)} % that may go at once; nothing was deleted.`,
    mend: 'It is read again by itself. If the source lost sight of them (a right, a filter), mend that. If they are really gone, raise mayRemove of the sweep, or delete them yourself.',
    context: { table: table.id, removed, rows },
  })
}
