/**
 * Causes in the histories of other entities: which column of the record moved them, from what to what.
 * Invariant: that something moved stays, and which features; of the record nothing does, not even its key. Every history is
 * looked through: what fed an entity once need not be declared any more.
 */
import type { Pass } from './places.ts'

/** Keys of several columns are joined by commas; `place` counts from 1. */
interface Named {
  readonly table: string
  readonly place: number
}

const SCRUB = `
with named as (select * from json_to_recordset($2::json) as n("table" text, place integer))
update rescore.feature_history h set causes = (
  select json_agg(case when exists (select from named n where n.table = c->>'table' and split_part(c->>'key', ',', n.place) = $1)
    then (c::jsonb || '{"key": "", "from": null, "to": null}')::json else c end)
  from json_array_elements(h.causes) c)
where exists (select from named n where position('"' || n.table || '"' in h.causes::text) > 0) and exists (
  select from json_array_elements(h.causes) c join named n on n.table = c->>'table' and split_part(c->>'key', ',', n.place) = $1)`

export async function scrubCauses(run: Pass): Promise<void> {
  const { subject, key } = run
  const named: readonly Named[] = [
    { table: subject.table.id, place: 1 },
    ...subject.about.flatMap(({ table, column }) => {
      const at = table.key.indexOf(column)
      return at < 0 ? [] : [{ table: table.id, place: at + 1 }]
    }),
  ]
  await run.remove('rescore.feature_history (causes made blank)', SCRUB, [key, JSON.stringify(named)])
}
