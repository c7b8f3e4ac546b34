-- The control schema: everything Rescore keeps about itself and everything it derives.
create schema if not exists rescore;

-- Who this database is and what the slot had confirmed. One row. A slot, system id or timeline that does not match is
-- refused at start, never repaired silently.
create table rescore.capture (
  id boolean primary key default true check (id),
  system_id text not null,
  timeline integer not null,
  slot text not null,
  publication text not null,
  -- 'embedded'; or 'kafka <cluster> <prefix>', 'debezium <cluster> <prefix>': changes travel one way only, because what
  -- another way still holds would never be read.
  carrier text not null default 'embedded',
  -- '0/0' where the slot is Debezium's.
  confirmed_lsn pg_lsn not null,
  heartbeat_at timestamptz not null default now(),
  created_at timestamptz not null default now()
);

-- A stage's position, moved by compare-and-set in the transaction of its effects: the dedupe and the fence.
-- topic '' is the stage as a whole: its own position on the embedded log. On Kafka each partition has a row of its own,
-- and the row of the whole only says what is reflected: the least over the partitions.
-- reflected_* is what the stage vouches for; it is captured itself, so the next stage learns it in log order.
-- fence grows with each process that takes the stage over: what an older one still wants to move is refused.
create table rescore.stage_position (
  stage text not null,
  topic text not null default '',
  partition integer not null default 0,
  fence bigint not null default 0,
  lsn pg_lsn not null,
  index integer not null,
  -- Next offset to read: where a consumer starts, never what decides whether a record is new.
  next_offset bigint not null default 0,
  -- Offset at which the stage began to read the partition: records before it are of no concern, whatever their position.
  begin_offset bigint not null default 0,
  -- Of the topic that was read, as Kafka's tools print it: one of the same name with another id is not the same topic.
  topic_id text,
  reflected_lsn pg_lsn not null,
  reflected_at timestamptz,
  -- from, until, from, until …: what is reflected at or above `from` holds only once every partition has passed `until`.
  withheld pg_lsn[] not null default '{}',
  -- Process that last moved a partition.
  owner text,
  lag_seconds double precision,
  moved_at timestamptz not null default clock_timestamp(),
  primary key (stage, topic, partition)
);
alter table rescore.stage_position replica identity full;

-- What the processes that share a stage over Kafka must agree on. Locked while the reflected position of the whole is
-- moved, while definitions are deployed, and where rows are made stale.
create table rescore.shared_stage (
  stage text primary key,
  -- Stale rows are left until a sweep begun after the last `wanted` is done.
  sweeps_wanted integer not null default 1,
  sweeps_done integer not null default 0,
  barrier_at timestamptz not null default '-infinity'
);

-- Which features of an entity were computed in which snapshots, so that workers that share the stage do not compute for
-- the same change twice. Only memory of work: empty after a crash, nothing is lost with it, and no backup needs it.
create unlogged table rescore.computed (
  -- Entity, and a hash of its features in their order: what the bits of `notes` mean.
  program text not null,
  key text not null,
  -- `snapshot bits|snapshot bits…`, the newest first
  notes text not null,
  primary key (program, key)
) with (fillfactor = 50);

-- Records of a topic that could not be decoded, kept whole with their reason; the rest went through.
create table rescore.dead_letter (
  stage text not null,
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  key bytea,
  value bytea,
  code text not null,
  reason text not null,
  kept_at timestamptz not null default clock_timestamp(),
  primary key (stage, topic, partition, record_offset)
);

-- Records that capture could not publish, kept whole with their reason; their neighbours went through.
create table rescore.unpublished (
  topic text not null,
  partition integer not null,
  lsn pg_lsn not null,
  index integer not null,
  key bytea,
  -- null: the tombstone
  value bytea,
  code text not null,
  reason text not null,
  kept_at timestamptz not null default clock_timestamp(),
  primary key (topic, lsn, index)
);

create table rescore.connector_state (
  connector text not null,
  stream text not null,
  version integer not null,
  state jsonb not null,
  done bigint,
  total bigint,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (connector, stream)
);

-- Records that could not be landed, kept whole with their reason until replayed or dropped.
create table rescore.reject (
  id bigint generated always as identity primary key,
  connector text not null,
  stream text not null,
  source_table text not null,
  key text,
  raw text not null,
  code text not null,
  reason text not null,
  seen integer not null default 1,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  unique nulls not distinct (connector, stream, source_table, key, code)
);

-- A merged record's old key and the key it lives on under.
create table rescore.alias (
  source_table text not null,
  old_key text not null,
  new_key text not null,
  merged_at timestamptz not null default clock_timestamp(),
  primary key (source_table, old_key)
);

-- Deployed definitions. A row of derived values is stale when its epoch is below the epoch in which one of its
-- features last changed.
create table rescore.definition (
  entity text not null,
  feature text not null,
  version integer not null,
  hash text not null,
  changed_in_epoch integer not null,
  deployed_at timestamptz not null default clock_timestamp(),
  -- `hash` is of the code the version was deployed with; this of the code deployed last under it, null where it is the same.
  edited_hash text,
  primary key (entity, feature)
);

-- Other code under a version that gives the same values, as somebody has said.
create table rescore.equivalent (
  entity text not null,
  feature text not null,
  version integer not null,
  hash text not null,
  marked_by text not null,
  marked_at timestamptz not null default clock_timestamp(),
  primary key (entity, feature, version, hash)
);

-- Features gone from the deployed definitions whose column is still there; `rescore prune` drops it.
create table rescore.removed_feature (
  entity text not null,
  feature text not null,
  version integer not null,
  removed_at timestamptz not null default clock_timestamp(),
  primary key (entity, feature)
);

-- Sets of definitions as they were deployed, each once. What was replaced is not deployed again unasked: it would be a
-- process of an older release that was started once more.
create table rescore.release (
  kind text not null check (kind in ('features', 'models')),
  fingerprint text not null,
  deployed_at timestamptz not null default clock_timestamp(),
  -- null: the one that is deployed
  replaced_at timestamptz,
  primary key (kind, fingerprint)
);

create table rescore.model_definition (
  model text primary key,
  entity text not null,
  version text not null,
  artifact_hash text not null,
  manifest jsonb not null,
  deployed_at timestamptz not null default clock_timestamp()
);

-- Append-only: changed values only; valid from valid_at until the next row of the same key.
-- json, not jsonb: written with every change and read by key only, and jsonb costs as much again to write.
-- By month of recorded_at (UTC); months are added ahead by the service, and what finds none waits in the default one.
create sequence rescore.feature_history_id;
create table rescore.feature_history (
  id bigint not null default nextval('rescore.feature_history_id'),
  entity text not null,
  key text not null,
  -- {"feature": {"from": .., "to": ..}}, without "from" in an insert; null for a row deleted
  changed json,
  op text not null check (op in ('insert', 'update', 'delete')),
  causes json not null,
  cause_count integer not null,
  epoch integer not null,
  snap_lsn pg_lsn not null,
  valid_at timestamptz not null,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (entity, key, id, recorded_at)
) partition by range (recorded_at);
create table rescore.feature_history_default partition of rescore.feature_history default;
alter sequence rescore.feature_history_id owned by rescore.feature_history.id;

-- What is kept of rows that were older than the rule: of each key those that still told something then, without what had
-- been said anew since.
create table rescore.feature_base (
  entity text not null,
  key text not null,
  -- Of the newest row folded in: later ones of the key are in the history.
  id bigint not null,
  -- [{"op", "valid_at", "recorded_at", "values": {"feature": value}}] in the order they were written, times as they were
  steps json not null,
  epoch integer not null,
  snap_lsn pg_lsn not null,
  valid_at timestamptz not null,
  recorded_at timestamptz not null,
  primary key (entity, key)
);

-- Everything there is of the past, in the order of id: what readers go by.
create view rescore.feature_past as
  select id, entity, key, 'base'::text as op, null::json as changed, steps, '[]'::json as causes, 0 as cause_count, epoch,
    snap_lsn, valid_at, recorded_at from rescore.feature_base
  union all
  select id, entity, key, op, changed, null::json, causes, cause_count, epoch, snap_lsn, valid_at, recorded_at
  from rescore.feature_history;

-- The first instant at which what was known can still be told; moved before anything is folded.
create table rescore.history_kept (
  entity text primary key,
  kept_from timestamptz not null,
  moved_at timestamptz not null default clock_timestamp()
);

-- The last run of the rule. One row.
create table rescore.history_run (
  id boolean primary key default true check (id),
  began_at timestamptz not null,
  -- Of the last run that came to its end, as the next two.
  ended_at timestamptz,
  rows_folded bigint not null default 0,
  dropped text[] not null default '{}',
  -- Why it could not do all of it; the next run goes on.
  error text
);

create table rescore.classification (
  model text not null,
  key text not null,
  entity text not null,
  label text not null,
  -- probability of the model's positive class (the one the threshold is on), and of all classes in manifest order
  probability double precision not null,
  probabilities double precision[] not null,
  model_version text not null,
  -- sha-256 over the artifact and what its manifest decides (inputs, classes, threshold)
  artifact_hash text not null,
  -- hash of exactly the model's inputs as float32, in manifest order
  fingerprint text not null,
  -- snap_lsn of the feature row it was scored from
  features_lsn pg_lsn not null,
  snap_lsn pg_lsn not null,
  source_at timestamptz,
  scored_at timestamptz not null default clock_timestamp(),
  -- the key first: what is known of one entity is found by it too
  primary key (key, model)
) with (fillfactor = 80);

-- What a score was made from is the feature history of its entity up to features_lsn. By month of scored_at (UTC).
create sequence rescore.classification_history_id;
create table rescore.classification_history (
  id bigint not null default nextval('rescore.classification_history_id'),
  model text not null,
  entity text not null,
  key text not null,
  op text not null check (op in ('insert', 'update', 'delete')),
  from_label text,
  from_probability double precision,
  to_label text,
  to_probability double precision,
  model_version text not null,
  artifact_hash text not null,
  features_lsn pg_lsn not null,
  source_at timestamptz,
  scored_at timestamptz not null default clock_timestamp(),
  primary key (entity, key, id, scored_at)
) partition by range (scored_at);
create table rescore.classification_history_default partition of rescore.classification_history default;
alter sequence rescore.classification_history_id owned by rescore.classification_history.id;

-- Each model's last word from before the first instant that is kept, as it was.
create table rescore.classification_base (
  entity text not null,
  key text not null,
  model text not null,
  id bigint not null,
  label text not null,
  probability double precision not null,
  model_version text not null,
  artifact_hash text not null,
  features_lsn pg_lsn not null,
  source_at timestamptz,
  scored_at timestamptz not null,
  primary key (entity, key, model)
);

create view rescore.classification_past as
  select id, model, entity, key, 'base'::text as op, null::text as from_label, null::double precision as from_probability,
    label as to_label, probability as to_probability, model_version, artifact_hash, features_lsn, source_at, scored_at
  from rescore.classification_base
  union all
  select id, model, entity, key, op, from_label, from_probability, to_label, to_probability, model_version, artifact_hash,
    features_lsn, source_at, scored_at from rescore.classification_history;

-- Entities whose features cannot be computed: kept aside with the reason, healed by the next change of an input.
-- Stored values stay as they last were and are not vouched for while the row is here.
create table rescore.quarantine (
  entity text not null,
  key text not null,
  feature text not null,
  code text not null,
  reason text not null,
  epoch integer not null,
  since timestamptz not null default clock_timestamp(),
  primary key (entity, key)
);

-- What `rescore status` shows; not captured, so writing it wakes nobody. Processes that share a stage have a row each.
create table rescore.stage_status (
  stage text not null,
  worker text not null default '',
  entries bigint not null default 0,
  computed bigint not null default 0,
  changed bigint not null default 0,
  backlog bigint not null default 0,
  lag_seconds double precision,
  lag_trend text,
  rate_per_second double precision,
  sweeping boolean not null default false,
  last_error text,
  last_error_at timestamptz,
  -- [{topic, partition, records, since}]: what the group has given to the worker, and what waits there since when
  assigned jsonb not null default '[]',
  updated_at timestamptz not null default clock_timestamp(),
  primary key (stage, worker)
);
