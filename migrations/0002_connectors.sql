-- What connectors keep besides their checkpoints, written in the transaction of the records it belongs to.

-- Small facts a stream keeps: an ETag, when something was last looked at.
create table rescore.connector_memory (
  connector text not null,
  stream text not null,
  name text not null,
  value text not null,
  due_at timestamptz,
  primary key (connector, stream, name)
);
create index connector_memory_due_idx on rescore.connector_memory (connector, stream, due_at) where due_at is not null;

-- Keys a listing has named so far; gone when it is whole. Logged: a list lost in a crash would delete every row.
create table rescore.listed (
  source_table text not null,
  listing text not null,
  key jsonb not null,
  primary key (source_table, listing, key)
);

-- Fields of a source as they were last seen: what is new, gone or retyped is told from here.
create table rescore.source_field (
  connector text not null,
  source_table text not null,
  field text not null,
  type text not null,
  -- What it was before its type changed.
  former_type text,
  first_seen_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz,
  -- Not in the last schema the source gave.
  gone_at timestamptz,
  primary key (connector, source_table, field)
);

-- How each stream is doing; not captured, so writing it wakes nobody.
create table rescore.stream_status (
  connector text not null,
  stream text not null,
  passes bigint not null default 0,
  written bigint not null default 0,
  rejected bigint not null default 0,
  last_read_at timestamptz,
  next_run_at timestamptz,
  last_error text,
  last_error_at timestamptz,
  -- Per budget: {key: {calls, perMs, used}} as this stream's process counted them at the end of the pass.
  budgets jsonb not null default '[]',
  primary key (connector, stream)
);
