-- What features are expected to be, and the values that are not.

-- As declared when it was deployed; null: nothing is expected.
alter table rescore.definition add column expect json;

-- Values that break a rule of their feature: at most one a feature and entity, the first rule that is broken. Gone when
-- the value passes again, and with the entity.
create table rescore.violation (
  entity text not null,
  key text not null,
  feature text not null,
  rule text not null check (rule in ('notNull', 'maxNullRate', 'oneOf', 'min', 'max', 'maxDelta')),
  -- 'stored': it is stored all the same. 'held': the value before it stays. 'aside': the entity is in rescore.quarantine.
  effect text not null check (effect in ('stored', 'held', 'aside')),
  otherwise text not null check (otherwise in ('block', 'quarantine', 'warn')),
  value json not null,
  since timestamptz not null default clock_timestamp(),
  -- When it was last computed.
  last_seen timestamptz not null default clock_timestamp(),
  -- Somebody has let this very value through: it counts as passing for as long as it is the one computed.
  accepted_at timestamptz,
  primary key (entity, key, feature)
);
create index violation_feature on rescore.violation (entity, feature, rule, otherwise);

-- Of features that may be null only so often: rows of the entity's feature table and nulls among them, as the sum of
-- these. Each transaction adds what it changes, so that none waits for another; they are folded now and then.
create table rescore.null_count (
  entity text not null,
  feature text not null,
  rows bigint not null,
  nulls bigint not null
);
create index null_count_feature on rescore.null_count (entity, feature);
