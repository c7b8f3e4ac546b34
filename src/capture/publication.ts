/**
 * Which tables are captured, and that their old values are in the log.
 *
 * Invariants: the publication holds exactly the watched tables, whole rows of them, with every kind of change; each has
 * replica identity FULL: set on tables that Rescore made, asked of the user for all others. Every step can be repeated.
 */
import { type Pool, quoteIdent, quoteTable } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'

export interface WatchedTables {
  readonly publication: string
  /** `schema.name` of every table to watch. */
  readonly tables: readonly string[]
  /** Tables Rescore created: their replica identity is set, others' is only checked. */
  readonly owned: readonly string[]
}

export async function ensureIdentities(pool: Pool, { tables, owned }: WatchedTables): Promise<void> {
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
    await pool.query(`alter table ${id} replica identity full`)
  }
}

export async function ensurePublication(pool: Pool, { publication, tables }: WatchedTables): Promise<void> {
  const wanted = [...new Set(tables)].sort()
  const list = wanted.map(quoteTable).join(', ')
  const { rows } = await pool.query<{ tables: string[]; narrowed: boolean; every: boolean }>(
    `select coalesce(array_agg(n.nspname || '.' || c.relname) filter (where c.oid is not null), '{}') as tables,
            coalesce(bool_or(r.prqual is not null or r.prattrs is not null), false) as narrowed,
            p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate as every
     from pg_publication p left join pg_publication_rel r on r.prpubid = p.oid
     left join pg_class c on c.oid = r.prrelid left join pg_namespace n on n.oid = c.relnamespace
     where p.pubname = $1 group by p.oid`,
    [publication],
  )
  const found = rows[0]
  if (found === undefined) {
    await pool.query(`create publication ${quoteIdent(publication)} for table ${list}`)
    return
  }
  const isSame = found.tables.sort().join('\n') === wanted.join('\n')
  if (!isSame || found.narrowed) await pool.query(`alter publication ${quoteIdent(publication)} set table ${list}`)
  if (!found.every) {
    await pool.query(`alter publication ${quoteIdent(publication)} set (publish = 'insert, update, delete, truncate')`)
  }
}
