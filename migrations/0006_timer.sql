-- When values change because time passes.

-- What time it has been: the greatest that anything that reads time was computed at. Time never falls below it, so a
-- clock that jumps back takes no value back. Small and moved often: it stays on its page.
create table rescore.clock (
  id boolean primary key default true check (id),
  at timestamptz not null default '-infinity'
) with (fillfactor = 10);
insert into rescore.clock default values;

-- The next instant at which a feature of an entity changes if nothing else does. Written with the feature row, only when
-- it differs; gone with the entity. No row: never.
create table rescore.timer (
  entity text not null,
  key text not null,
  feature text not null,
  due_at timestamptz not null,
  primary key (entity, key, feature)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create index timer_due on rescore.timer (entity, due_at);
