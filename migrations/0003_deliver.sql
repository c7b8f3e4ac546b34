-- What leaves Rescore, and what wakes it: the ledger of deliveries, and webhooks of sources.

-- Entities whose classification changed, put here by triggers in the transaction of the change (made by deliver only
-- where something is delivered). Rows are only inserted, and deleted by id: nobody waits for anybody.
create table rescore.delivery_due (
  id bigint generated always as identity primary key,
  entity text not null,
  key text not null
);

create function rescore.mark_delivery_due() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into rescore.delivery_due (entity, key) select distinct a.entity, a.key from added a;
  elsif tg_op = 'UPDATE' then
    insert into rescore.delivery_due (entity, key)
    select distinct a.entity, a.key from added a join gone g using (key, model)
    where (a.label, a.probability) is distinct from (g.label, g.probability);
  else
    insert into rescore.delivery_due (entity, key) select distinct g.entity, g.key from gone g;
  end if;
  return null;
end $$;

create sequence rescore.mark;

create table rescore.delivery_destination (
  name text primary key,
  entity text not null,
  -- of what is declared; a change makes every entity due
  hash text not null,
  -- attempts of it all at once have failed: nothing is tried before
  paused_until timestamptz,
  error_code text,
  error text,
  error_at timestamptz,
  written bigint not null default 0,
  -- looked at and nothing to write: equal, or within the dead band
  same bigint not null default 0,
  held bigint not null default 0,
  refused bigint not null default 0,
  -- of what came back from the source, that which was our own writing
  echoes bigint not null default 0,
  updated_at timestamptz not null default clock_timestamp()
);

-- The ledger: what each destination was last told of each entity, and when it is to be looked at again.
create table rescore.delivery (
  destination text not null,
  key text not null,
  -- grows with every reason to look; what was read under an older one does not clear it
  mark bigint not null,
  -- null: nothing to do
  due_at timestamptz,
  -- {field: value} the destination has acknowledged; null: nothing yet
  sent jsonb,
  sent_at timestamptz,
  -- {field: value} of the last write begun, until it is acknowledged: how an echo of it is known
  pending jsonb,
  -- number of that write, of rescore.mark: a repeat of it has the same, another write of the same values has not
  begun bigint,
  -- fields of writes that were begun and not acknowledged: what they hold now only the destination knows. Grows until a
  -- write is acknowledged, because each of those writes may have arrived.
  unsure text[] not null default '{}',
  attempts integer not null default 0,
  code text,
  reason text,
  failed_at timestamptz,
  hour_at timestamptz,
  hour_writes integer not null default 0,
  primary key (destination, key)
);
create index delivery_due_at on rescore.delivery (destination, due_at) where due_at is not null;

-- Writes of a day (UTC), counted before they are made: a crash never overdraws.
create table rescore.delivery_day (
  destination text not null,
  day date not null,
  writes bigint not null,
  primary key (destination, day)
);

-- Webhook events already taken, for as long as the source repeats them.
create table rescore.webhook_seen (
  connector text not null,
  event text not null,
  seen_at timestamptz not null default clock_timestamp(),
  primary key (connector, event)
);
create index webhook_seen_at on rescore.webhook_seen (seen_at);

-- Records a source has told us to read again, one row however often it said so.
create table rescore.wake_up (
  connector text not null,
  stream text not null,
  key text not null,
  mark bigint not null,
  asked_at timestamptz not null default clock_timestamp(),
  primary key (connector, stream, key)
);
