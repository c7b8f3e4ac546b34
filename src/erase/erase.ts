/**
 * An erasure from its first pass to its certificate.
 *
 * Invariants: what keeps the record from coming back is committed with the first removal; passes are repeated until one
 * finds nothing although every transaction that was under way at the one before has ended, so that work in flight cannot
 * put back what it had read; the certificate is written last. Each pass is one transaction and adds to what the open
 * erasure has counted: killed anywhere, the same command goes on.
 */
import { createHash } from 'node:crypto'
import { hashMemory, hashRecord, memoryNames, readSecret } from '../connect/suppression.ts'
import { Backoff } from '../db/backoff.ts'
import { type Client, type Pool, withTransaction } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import { erasePass, type Removed } from './places.ts'
import type { Subject } from './subject.ts'

export interface Erasing {
  readonly pool: Pool
  readonly subject: Subject
  readonly key: string
  readonly askedBy: string
  readonly signal: AbortSignal
  /** How long work in flight may take to end. */
  readonly timeoutMs: number
  /** What is said of copies that are not in this database; asked once everything is gone from it. */
  readonly elsewhere: () => Promise<{ readonly topics: readonly object[]; readonly notCovered: readonly string[] }>
  /** Named points where a test stops the world. */
  readonly faults?: { hit(point: string): Promise<void> | void }
}

export interface Certificate {
  readonly erasure: string
  /** Of table and key, keyed with this database's secret; the key itself is not kept. */
  readonly subject: string
  readonly table: string
  readonly askedBy: string
  readonly begunAt: string
  readonly finishedAt: string
  readonly removed: Removed
  readonly suppressed: true
  readonly topics: readonly object[]
  readonly notCovered: readonly string[]
  /** sha-256 of all the above as JSON. */
  readonly hash: string
}

class Undone extends Error {
  readonly removed: Removed

  constructor(removed: Removed) {
    super('tried, not kept')
    this.removed = removed
  }
}

const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : undefined)

/** The key as PostgreSQL prints it: `007` and `7` are one bigint. @throws RescoreError ERASE_KEY */
export async function keyAsStored(pool: Pool, { table, keyType }: Subject, key: string): Promise<string> {
  try {
    const { rows } = await pool.query<{ key: string }>(`select $1::text::${keyType}::text as key`, [key])
    return rows[0]?.key ?? key
  } catch (error) {
    if (!String(codeOf(error)).startsWith('22')) throw error
    throw new RescoreError({
      code: 'ERASE_KEY',
      fate: 'stop',
      message: `'${key}' cannot be a key of ${table.id}: it is ${keyType}.`,
      mend: 'Give the key as it stands in the table.',
      cause: error,
    })
  }
}

/** One's own tables may be another's to delete from. */
function explained(error: unknown): unknown {
  if (codeOf(error) !== '42501') return error
  return new RescoreError({
    code: 'ERASE_RIGHTS',
    fate: 'stop',
    message: `Nothing was erased: ${error instanceof Error ? error.message : ''}.`,
    mend: 'grant select, delete on that table to the role of DATABASE_URL; then the same command.',
    cause: error,
  })
}

/** What an erasure would remove now; nothing is kept of it. @throws RescoreError ERASE_RIGHTS */
export async function tryErase(pool: Pool, subject: Subject, key: string): Promise<Removed> {
  try {
    return await withTransaction(pool, {}, async (client) => {
      throw new Undone(await erasePass(client, subject, key))
    })
  } catch (error) {
    if (error instanceof Undone) return error.removed
    throw explained(error)
  }
}

interface Open {
  readonly id: string
  readonly hash: string
}

/** The open erasure of this record, begun here or before. */
async function begin(client: Client, { subject, key, askedBy }: Erasing): Promise<Open> {
  const secret = await readSecret(client)
  const hash = hashRecord(secret, subject.table.id, key)
  const facts = subject.streams.flatMap(([connector, stream]) =>
    memoryNames(key).map((name) => hashMemory(secret, { connector, stream }, name)),
  )
  await client.query(
    `insert into rescore.suppression (hash) select decode(h, 'hex') from unnest($1::text[]) h on conflict do nothing`,
    [[hash, ...facts]],
  )
  const { rows } = await client.query<{ id: string }>(
    `insert into rescore.erasure (hash, source_table, asked_by) values (decode($1, 'hex'), $2, $3)
     on conflict (hash) where finished_at is null do update set asked_by = erasure.asked_by returning id::text`,
    [hash, subject.table.id, askedBy],
  )
  return { id: rows[0]?.id ?? '', hash }
}

async function onePass(erasing: Erasing): Promise<{ readonly open: Open; readonly rows: number; readonly at: string }> {
  const { pool, subject, key } = erasing
  const done = await withTransaction(pool, {}, async (client) => {
    const open = await begin(client, erasing)
    const removed = await erasePass(client, subject, key)
    await client.query(
      `update rescore.erasure set removed = (
         select coalesce(jsonb_object_agg(place, n), '{}') from (
           select place, sum(n::bigint) as n from (
             select * from jsonb_each_text(removed) union all select * from jsonb_each_text($2::jsonb)) b(place, n)
           group by place) s) where id = $1`,
      [open.id, JSON.stringify(removed)],
    )
    return { open, rows: Object.values(removed).reduce((sum, rows) => sum + rows, 0) }
  }).catch((error: unknown) => {
    throw explained(error)
  })
  const { rows } = await pool.query<{ at: string }>('select clock_timestamp()::text as at')
  return { ...done, at: rows[0]?.at ?? '' }
}

function busy(pids: readonly number[]): RescoreError {
  return new RescoreError({
    code: 'ERASE_BUSY',
    fate: 'retry',
    message: `Transactions of Rescore that may still hold what was read before have not ended: ${pids.join(', ')}.`,
    mend: 'Run the same command again: it goes on. If they do not end, look at them in pg_stat_activity.',
  })
}

/** Until every transaction of ours that was under way then has ended: it may have read what is gone since. */
async function untilEnded({ pool, signal, timeoutMs }: Erasing, since: string): Promise<void> {
  const backoff = new Backoff({ baseMs: 5, maxMs: 250 })
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const { rows } = await pool.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
         and application_name like 'rescore%' and backend_type = 'client backend' and xact_start <= $1::timestamptz`,
      [since],
    )
    if (rows.length === 0) return
    if (performance.now() > deadline) throw busy(rows.map(({ pid }) => pid))
    await backoff.wait(signal)
  }
}

/** @throws RescoreError ERASE_RIGHTS, ERASE_BUSY; what was removed until then stays removed, and the same command goes on */
export async function erase(erasing: Erasing): Promise<Certificate> {
  const { pool, faults } = erasing
  let pass = await onePass(erasing)
  await faults?.hit('erase:after-pass')
  while (!isPlanted('erase-in-flight-forgotten')) {
    await untilEnded(erasing, pass.at)
    pass = await onePass(erasing)
    await faults?.hit('erase:after-pass')
    if (pass.rows === 0) break
  }
  const elsewhere = await erasing.elsewhere()
  await faults?.hit('erase:before-certificate')
  return withTransaction(pool, {}, (client) => certify(client, pass.open, elsewhere))
}

interface ErasureRow {
  readonly source_table: string
  readonly asked_by: string
  readonly removed: Removed
  readonly begun_at: string
  readonly finished_at: string
}

async function certify(
  client: Client,
  { id, hash }: Open,
  { topics, notCovered }: Awaited<ReturnType<Erasing['elsewhere']>>,
): Promise<Certificate> {
  const { rows } = await client.query<ErasureRow>(
    `select source_table, asked_by, removed, to_char(begun_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as begun_at,
       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as finished_at
     from rescore.erasure where id = $1 for update`,
    [id],
  )
  const [row] = rows
  if (row === undefined) throw new Error('The erasure is not there any more.')
  const said = {
    erasure: id,
    subject: hash,
    table: row.source_table,
    askedBy: row.asked_by,
    begunAt: row.begun_at,
    finishedAt: row.finished_at,
    removed: row.removed,
    suppressed: true as const,
    topics,
    notCovered,
  }
  const certificate = { ...said, hash: createHash('sha256').update(JSON.stringify(said)).digest('hex') }
  // As text: jsonb would order the keys anew, and the hash is of the text.
  await client.query(
    `update rescore.erasure set finished_at = $2::timestamptz, certificate = to_jsonb($3::text) where id = $1`,
    [id, row.finished_at, JSON.stringify(certificate)],
  )
  return certificate
}
