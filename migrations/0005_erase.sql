-- What was erased, and may not come back.

-- Key of the hashes below, drawn once: without it a hash cannot be tried against keys.
create table rescore.erase_secret (
  id boolean primary key default true check (id),
  secret bytea not null default decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);
insert into rescore.erase_secret default values;

-- Keyed hash of the table and key of each record erased; the key itself is not kept.
create table rescore.suppression (
  hash bytea primary key,
  erased_at timestamptz not null default clock_timestamp()
);

-- Erasures, begun and done. The certificate names no key: it is handed out once, to whoever asked.
create table rescore.erasure (
  id bigint generated always as identity primary key,
  hash bytea not null,
  source_table text not null,
  asked_by text not null,
  -- {"what": rows removed so far}
  removed jsonb not null default '{}',
  begun_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  certificate jsonb
);
create unique index erasure_open on rescore.erasure (hash) where finished_at is null;
