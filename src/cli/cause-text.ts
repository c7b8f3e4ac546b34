/** What was behind a change of values, in one line for a person. Text of source values cannot act on the terminal. */
import type { Cause } from '../log/stage.ts'

export const shown = (value: unknown) => (value === null ? '∅' : String(value).replace(/[\p{Cc}\p{Cf}]/gu, '·'))

export function causeText(cause: Cause): string {
  if (cause.op === 'time') return `time passed: ${cause.feature} was due at ${new Date(cause.atMs).toISOString()}`
  const at = new Date(cause.committedAtMs).toISOString()
  if (cause.op === 'backfill') return `backfill ${cause.key}: ${shown(cause.to)} (${at})`
  const what = cause.column === null ? cause.op : `${cause.column} ${shown(cause.from)} → ${shown(cause.to)}`
  return `${cause.table} ${shown(cause.key)}: ${what} (${at}, ${cause.lsn})`
}
