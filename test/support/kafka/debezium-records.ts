/**
 * Records that a real Debezium 3.7 connector wrote, one a line in debezium-records.ndjson: `plain` with schemas off, `wrapped`
 * with schemas on (the first, third and fourth of the same), `partial` of a table without replica identity FULL.
 *
 * The table: (id bigint primary key, note text, big text storage external, amount numeric, seen timestamptz). What was
 * done: snapshot of a row; insert of 1; update of its note; its key becomes 2; delete; truncate. `big` was cut to forty x.
 */
import { readFileSync } from 'node:fs'
import type { MadeRecord } from './records.ts'

interface Recorded extends Omit<MadeRecord, 'key'> {
  readonly from: 'plain' | 'wrapped' | 'partial'
  readonly key: string | null
}

const lines = readFileSync(new URL('./debezium-records.ndjson', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
const all: readonly Recorded[] = lines.map((line) => JSON.parse(line))

export function recorded(from: Recorded['from']): readonly MadeRecord[] {
  // A truncate has no key.
  return all.filter((record) => record.from === from).map((record) => ({ ...record, key: record.key ?? '' }))
}
