/**
 * Moves what is still needed of rows older than a cut to the base, some keys at a time.
 *
 * Invariants: a piece is one transaction: its keys are told of by their rows or by their base, never by both or neither, so
 * a crash anywhere loses and doubles nothing and the next run goes on. An erasure and a piece never run at once: neither can
 * bring back what the other has taken. Memory holds the base rows of one piece.
 */
import { ADVISORY_LOCK } from '../db/locks.ts'
import { formatLsn } from '../db/lsn.ts'
import { type Client, type Pool, withTransaction } from '../db/pool.ts'
import { type Base, BaseFold } from './base.ts'
import { formatInstant, type Instant } from './instant.ts'
import { readPast } from './read.ts'

export interface Cut {
  readonly entity: string
  /** The first moment that is kept. */
  readonly at: Instant
}

export interface Piece {
  /** The last key looked at; null: there are no more. */
  readonly after: string | null
  readonly rows: number
}

const KEYS = 500

/** Every look-up is by key: a plan that scans would read all months. */
const SETTINGS = `set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
  set local lock_timeout = '30s'`

async function begin(client: Client): Promise<void> {
  await client.query(SETTINGS)
  await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.foldHistory])
}

/** Also those whose rows have to stay for now: they are looked at once more with every run. */
const keysSql = (table: string, at: string) =>
  `select distinct key from ${table} where entity = $1 and ${at} < $2::timestamptz and ($3::text is null or key > $3)
   order by key limit ${KEYS}`

const LATER = `select k.key, (select h.id from rescore.feature_history h
      where h.entity = $1 and h.key = k.key and h.recorded_at >= $3::timestamptz order by h.id limit 1) as id
  from unnest($2::text[]) as k(key)`

const KEEP = `insert into rescore.feature_base as b (entity, key, id, steps, epoch, snap_lsn, valid_at, recorded_at)
  select $1, u.* from unnest($2::text[], $3::bigint[], $4::text[]::json[], $5::integer[], $6::pg_lsn[], $7::timestamptz[],
    $8::timestamptz[]) as u
  on conflict (entity, key) do update set id = excluded.id, steps = excluded.steps, epoch = excluded.epoch,
    snap_lsn = excluded.snap_lsn, valid_at = excluded.valid_at, recorded_at = excluded.recorded_at`

const DROP = `delete from rescore.feature_history h using unnest($2::text[], $3::bigint[]) as f(key, id)
  where h.entity = $1 and h.key = f.key and h.id <= f.id and h.recorded_at < $4::timestamptz`

async function fold(client: Client, { entity, at }: Cut, keys: readonly string[]): Promise<number> {
  const cut = formatInstant(at)
  const later = await client.query<{ key: string; id: bigint | null }>(LATER, [entity, keys, cut])
  const untilOf = new Map(later.rows.map(({ key, id }) => [key, id]))
  const upTo = new Map<string, bigint>()
  const bases: Base[] = []
  const gone: string[] = []
  let open: { readonly key: string; readonly fold: BaseFold } | null = null
  const close = () => {
    if (open === null || open.fold.upTo === null) return
    upTo.set(open.key, open.fold.upTo)
    const base = open.fold.result(open.key)
    if (base === null) gone.push(open.key)
    else bases.push(base)
  }
  await readPast(client, { entity, keys, until: at - 1n }, (step) => {
    if (open?.key !== step.key) {
      close()
      open = { key: step.key, fold: new BaseFold(at, untilOf.get(step.key) ?? null) }
    }
    open.fold.add(step)
  })
  close()
  await client.query(KEEP, [
    entity,
    bases.map(({ key }) => key),
    bases.map(({ id }) => String(id)),
    bases.map(({ steps }) => JSON.stringify(steps)),
    bases.map(({ epoch }) => epoch),
    bases.map(({ snapLsn }) => formatLsn(snapLsn)),
    bases.map(({ validAt }) => formatInstant(validAt)),
    bases.map(({ recordedAt }) => formatInstant(recordedAt)),
  ])
  await client.query('delete from rescore.feature_base where entity = $1 and key = any($2)', [entity, gone])
  const dropped = await client.query(DROP, [entity, [...upTo.keys()], [...upTo.values()].map(String), cut])
  return dropped.rowCount ?? 0
}

/** @param after where the piece before ended; null: at the beginning */
export function foldFeatures(pool: Pool, cut: Cut, after: string | null): Promise<Piece> {
  return withTransaction(pool, {}, async (client) => {
    await begin(client)
    const { entity, at } = cut
    const { rows } = await client.query<{ key: string }>(keysSql('rescore.feature_history', 'recorded_at'), [
      entity,
      formatInstant(at),
      after,
    ])
    if (rows.length === 0) return { after: null, rows: 0 }
    const keys = rows.map(({ key }) => key)
    return { after: keys.at(-1) ?? null, rows: await fold(client, cut, keys) }
  })
}

/** As for features: of each key the rows before the first that is not known at the cut; of those each model's last. */
const LABELS = `with stop as (
    select k.key, least(
      (select h.id from rescore.classification_history h
       where h.entity = $1 and h.key = k.key and h.scored_at >= $3::timestamptz order by h.id limit 1),
      (select min(h.id) from rescore.classification_history h
       where h.entity = $1 and h.key = k.key and h.scored_at < $3::timestamptz and h.source_at > $3::timestamptz)) as id
    from unnest($2::text[]) as k(key)),
  gone as (
    delete from rescore.classification_history h using stop s
    where h.entity = $1 and h.key = s.key and h.scored_at < $3::timestamptz and (s.id is null or h.id < s.id) returning h.*),
  last as (select distinct on (key, model) * from gone order by key, model, id desc),
  kept as (
    insert into rescore.classification_base
      (entity, key, model, id, label, probability, model_version, artifact_hash, features_lsn, source_at, scored_at)
    select entity, key, model, id, to_label, to_probability, model_version, artifact_hash, features_lsn, source_at, scored_at
    from last where op <> 'delete'
    on conflict (entity, key, model) do update set id = excluded.id, label = excluded.label,
      probability = excluded.probability, model_version = excluded.model_version, artifact_hash = excluded.artifact_hash,
      features_lsn = excluded.features_lsn, source_at = excluded.source_at, scored_at = excluded.scored_at),
  withdrawn as (
    delete from rescore.classification_base b using last l
    where l.op = 'delete' and b.entity = $1 and b.key = l.key and b.model = l.model)
  select count(*)::integer as rows from gone`

/** @param after where the piece before ended; null: at the beginning */
export function foldClassifications(pool: Pool, { entity, at }: Cut, after: string | null): Promise<Piece> {
  return withTransaction(pool, {}, async (client) => {
    await begin(client)
    const cut = formatInstant(at)
    const keys = await client.query<{ key: string }>(keysSql('rescore.classification_history', 'scored_at'), [
      entity,
      cut,
      after,
    ])
    if (keys.rows.length === 0) return { after: null, rows: 0 }
    const done = await client.query<{ rows: number }>(LABELS, [entity, keys.rows.map(({ key }) => key), cut])
    return { after: keys.rows.at(-1)?.key ?? null, rows: done.rows[0]?.rows ?? 0 }
  })
}
