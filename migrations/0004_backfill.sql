-- Backfills: work over stored entities that no change asks for, beside live changes.
create table rescore.backfill (
  id bigint generated always as identity primary key,
  entity text not null,
  -- Features asked for; what reads them follows where their values move. Empty: every feature of the entity.
  features text[] not null default '{}',
  policy text not null check (policy in ('stale', 'missing', 'failed', 'silenced', 'all')),
  -- 'asked', or 'deployed': definitions changed for more rows than a deployment may recompute unasked.
  reason text not null check (reason in ('asked', 'deployed')),
  -- Who asked for it, or let a planned one run; null: nobody said.
  asked_by text,
  -- true: what it computes is neither scored nor written back.
  is_silent boolean not null default false check (not (is_silent and policy = 'silenced')),
  -- Of the entity's own row, as given.
  condition text,
  -- Column and direction of the priority list, as given; null: in key order.
  priority text,
  -- Entities a second, over all workers; null: as fast as live changes leave room.
  rate integer check (rate > 0),
  state text not null check (state in ('planned', 'running', 'paused', 'done', 'cancelled', 'failed')),
  -- Why it is 'failed'.
  failure text,
  -- true: its keys were cut into chunks when it was made.
  is_listed boolean not null default false,
  -- Nobody takes a piece of it before.
  paced_until timestamptz not null default '-infinity',
  -- Keys up to here are cut into chunks, or done with.
  after_key text,
  is_cut boolean not null default false,
  total bigint not null,
  -- false: total is PostgreSQL's estimate.
  is_total_exact boolean not null,
  -- Each entity is counted once, in the transaction that did it; those that never came to be cut when it ends.
  changed bigint not null default 0,
  unchanged bigint not null default 0,
  -- Brought up to date by something else before its turn.
  fresh bigint not null default 0,
  failed bigint not null default 0,
  -- Deleted before its turn.
  gone bigint not null default 0,
  -- How much was done at two moments of late, for the rate: at least 10 s ago where it has run so long, and after that.
  before_at timestamptz,
  before_done bigint not null default 0,
  noted_at timestamptz,
  noted_done bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  ended_at timestamptz
) with (fillfactor = 50);

-- Keys cut off and not done: a worker locks a row while it has it in hand, so a crash gives it back.
create table rescore.backfill_chunk (
  backfill bigint not null references rescore.backfill on delete cascade,
  seq bigint not null,
  keys text[] not null,
  primary key (backfill, seq)
);

-- Who has done how much of it, in the transactions that did it.
create table rescore.backfill_worker (
  backfill bigint not null references rescore.backfill on delete cascade,
  worker text not null,
  entities bigint not null,
  seen_at timestamptz not null default clock_timestamp(),
  primary key (backfill, worker)
);

-- The backfill that is to bring the feature's stale values up to date; null: sweeps do, at once.
alter table rescore.definition add column backfill bigint references rescore.backfill on delete set null;

-- What the failing compute was given, cut short.
alter table rescore.quarantine add column inputs json;

-- How often each feature was computed, and how often its value moved by it.
create table rescore.feature_tally (
  entity text not null,
  feature text not null,
  computed bigint not null,
  moved bigint not null,
  since timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (entity, feature)
);

-- Epochs that were ever given: one is never given again, also where the feature that had it is gone from the code, or
-- rows written with it would pass for up to date in what comes after it.
create sequence rescore.epoch as integer;

create function rescore.next_epoch() returns integer language sql volatile as $$
  select setval('rescore.epoch', greatest(nextval('rescore.epoch'),
    (select coalesce(max(changed_in_epoch), 0) + 1 from rescore.definition)))::integer
$$;
