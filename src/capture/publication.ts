/**
 * Which tables are captured, and that their old values are in the log.
 *
 * Invariants: the publication holds exactly the watched tables, whole rows of them, with every kind of change; each has
 * replica identity FULL: set on tables that Rescore made, asked of the user for all others. Every step can be repeated.
 */
import { type Pool, quoteIdent, quoteTable, withTransaction } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'

export interface WatchedTables {
  readonly publication: string
  /** `schema.name` of every table to watch. */
  readonly tables: readonly string[]
  /** Tables Rescore created: their replica identity is set, others' is only checked. */
  readonly owned: readonly string[]
  /** How long the set-up may wait for transactions that are open. Default 30 s. */
  readonly createTimeoutMs?: number
}

/** Bounded, because everyone else queues up behind a waiting ALTER TABLE. */
async function setIdentity(pool: Pool, id: string, timeoutMs: number): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query(`set lock_timeout = ${Math.ceil(timeoutMs)}`)
    await client.query(`alter table ${id} replica identity full`)
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === '55P03')) throw cause
    const holders = await pool.query<{ pid: number }>(
      'select distinct pid from pg_locks where relation = to_regclass($1) and granted order by pid limit 3',
      [id],
    )
    throw new RescoreError({
      code: 'CAPTURE_TABLE_BUSY',
      fate: 'stop',
      message: `Table ${id} could not be altered; it is in use by: ${holders.rows.map((row) => row.pid).join(', ') || 'none now'}.`,
      mend: 'End those transactions (pg_terminate_backend), and start again.',
      cause,
    })
  } finally {
    client.release(true)
  }
}

export async function ensureIdentities(pool: Pool, watched: WatchedTables): Promise<void> {
  const { tables, owned, createTimeoutMs = 30_000 } = watched
  const { rows } = await pool.query<{ id: string; identity: string | null }>(
    `select t.id, c.relreplident as identity from unnest($1::text[]) as t(id)
     left join pg_class c on c.oid = to_regclass(t.id)`,
    [tables.map(quoteTable)],
  )
  const ownedIds = new Set(owned.map(quoteTable))
  for (const { id, identity } of rows) {
    if (identity === null) {
      throw new RescoreError({
        code: 'CAPTURE_TABLE_MISSING',
        fate: 'stop',
        message: `Table ${id} does not exist.`,
        mend: 'Create it, or take it out of the configuration.',
      })
    }
    if (identity === 'f') continue
    if (!ownedIds.has(id)) {
      throw new RescoreError({
        code: 'CAPTURE_REPLICA_IDENTITY',
        fate: 'stop',
        message: `Table ${id} does not log old values, so a row that moves to another parent could not be followed.`,
        mend: `alter table ${id} replica identity full;`,
      })
    }
    await setIdentity(pool, id, createTimeoutMs)
  }
}

/**
 * Tables are added and taken out one by one, never set anew as a list: PostgreSQL asks who adds a table to own it, and one
 * that its owner or a superuser has added stays as it is.
 */
export async function ensurePublication(pool: Pool, { publication, tables }: WatchedTables): Promise<void> {
  const name = quoteIdent(publication)
  const wanted = new Set(tables)
  const list = (ids: readonly string[]) => ids.map(quoteTable).join(', ')
  const { rows } = await pool.query<{ tables: string[]; narrowed: string[]; every: boolean }>(
    `select coalesce(array_agg(n.nspname || '.' || c.relname) filter (where c.oid is not null), '{}') as tables,
            coalesce(array_agg(n.nspname || '.' || c.relname)
              filter (where r.prqual is not null or r.prattrs is not null), '{}') as narrowed,
            p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate as every
     from pg_publication p left join pg_publication_rel r on r.prpubid = p.oid
     left join pg_class c on c.oid = r.prrelid left join pg_namespace n on n.oid = c.relnamespace
     where p.pubname = $1 group by p.oid`,
    [publication],
  )
  const [found] = rows
  if (found === undefined) {
    await pool.query(`create publication ${name} for table ${list([...wanted].sort())}`)
    return
  }
  const kept = new Set(found.tables.filter((id) => wanted.has(id) && !found.narrowed.includes(id)))
  const gone = found.tables.filter((id) => !kept.has(id)).sort()
  const added = [...wanted].filter((id) => !kept.has(id)).sort()
  await withTransaction(pool, {}, async (client) => {
    if (gone.length > 0) await client.query(`alter publication ${name} drop table ${list(gone)}`)
    if (added.length > 0) await client.query(`alter publication ${name} add table ${list(added)}`)
    if (!found.every) {
      await client.query(`alter publication ${name} set (publish = 'insert, update, delete, truncate')`)
    }
  })
}
