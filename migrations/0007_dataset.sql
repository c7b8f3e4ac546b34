-- Data sets made by `rescore dataset create`: a row here means that its files are whole.
create table rescore.dataset (
  name text primary key,
  entity text not null,
  -- As it was asked for, with the file and folder of then.
  request jsonb not null,
  -- As in manifest.json, without the keys of unknown entities: those are in the folder alone.
  manifest json not null,
  -- Of the manifest, and so of every file it names.
  sha256 text not null,
  -- A path, or s3://bucket/prefix.
  folder text not null,
  -- How the bucket was reached: endpoint, region, addressing. No secrets. Null for a path.
  s3 jsonb,
  created_at timestamptz not null default clock_timestamp()
);
