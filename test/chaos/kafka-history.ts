/**
 * Whether anything older was ever written over something newer, by the history of the feature rows and of the positions.
 *
 * What must hold for each row: versions (the LSN before what a value was computed from) never go back, and a value moves
 * from where the move before left it. The second sees an overwritten row even where a later change has mended it since.
 * For each partition of a stage: its position never goes back, whoever moves it.
 */
import type { Pool } from '../../src/db/pool.ts'

const WATCH_POSITIONS = `
  create table app.step_back (fault text not null);
  create function app.note_step_back() returns trigger language plpgsql as $$ begin
    insert into app.step_back values (concat_ws(' ', new.stage, new.topic, new.partition, 'went back from', old.lsn, old.index,
      old.next_offset, 'to', new.lsn, new.index, new.next_offset, 'by', new.owner));
    return null;
  end $$;
  create trigger step_back after update on rescore.stage_position for each row
    when (new.topic <> '' and ((new.lsn, new.index) < (old.lsn, old.index) or new.next_offset < old.next_offset))
    execute function app.note_step_back();`

/** From now on; before any process starts. */
export async function watchPositions(pool: Pool): Promise<void> {
  await pool.query(WATCH_POSITIONS)
}

const FAULTS = `
  with told as (
    select h.entity, h.key, h.id, h.op, h.snap_lsn, h.changed,
      lag(h.snap_lsn) over w as lsn_before, lag(h.op) over w as op_before,
      -- Counts the lives of a row: a value does not move from one life to the next.
      count(*) filter (where h.op = 'insert') over w as life
    from rescore.feature_history h window w as (partition by h.entity, h.key order by h.id)
  ), moved as (
    select t.entity, t.key, t.id, m.key as feature, t.op, m.value->'from' as "from",
      lag(m.value->'to') over (partition by t.entity, t.key, t.life, m.key order by t.id) as left_at
    from told t, jsonb_each(t.changed::jsonb) as m where t.op <> 'delete'
  )
  select concat_ws(' ', entity, key, 'went back from', lsn_before, 'to', snap_lsn) as fault
    from told where snap_lsn < lsn_before
  union all
  select concat_ws(' ', entity, key, op, 'after', op_before) from told
    where (op = 'insert') is distinct from (op_before is null or op_before = 'delete')
  union all
  select concat_ws(' ', entity, key, feature, 'was left at', left_at, 'and moved from', "from") from moved
    where op = 'update' and left_at is not null and left_at is distinct from "from"
  limit 20`

/** In words; empty: there was none. Of the positions where they are watched. */
export async function historyFaults(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ fault: string }>(FAULTS)
  const { rows: watched } = await pool.query<{ is: boolean }>(`select to_regclass('app.step_back') is not null as is`)
  if (watched[0]?.is === true)
    rows.push(...(await pool.query<{ fault: string }>('select fault from app.step_back limit 20')).rows)
  return rows.map(({ fault }) => fault)
}
