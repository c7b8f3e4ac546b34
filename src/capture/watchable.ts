/**
 * Whether a table of the user's own can be watched as it is declared, and the mend where it cannot.
 *
 * Invariants: read-only; every problem of every table is found at once, each with the statement that mends it; what
 * passes here is captured whole, because its kind, its rights, its key and its replica identity leave no change unseen.
 */
import { type Pool, quoteIdent } from '../db/pool.ts'
import type { Table } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import { columnProblems } from './watchable-columns.ts'
import { kindProblem, rightsProblems, unpublishableOf } from './watchable-table.ts'

export interface WatchProblem {
  readonly code: string
  readonly message: string
  readonly mend: string
}

export interface FoundColumn {
  readonly name: string
  /** As PostgreSQL writes it, with its length; of a domain what it is over. */
  readonly type: string
  /** The type to cast a parameter to. */
  readonly cast: string
  readonly isNotNull: boolean
  readonly isGenerated: boolean
  readonly isReadable: boolean
}

/** What the catalog says of a table. */
export interface FoundTable {
  /** Quoted, for statements. */
  readonly id: string
  /** pg_class.relkind */
  readonly kind: string
  readonly isLogged: boolean
  readonly hasChildren: boolean
  readonly owner: string
  readonly role: string
  readonly isOwned: boolean
  readonly isPublished: boolean
  readonly isPublicationThere: boolean
  readonly mayUseSchema: boolean
  readonly isFiltered: boolean
  /** pg_class.relreplident */
  readonly identity: string
  readonly primaryKey: readonly string[]
  /** Of each unique index over all rows whose columns are never null: its columns. */
  readonly keys: readonly (readonly string[])[]
  readonly columns: readonly FoundColumn[]
  /** Of a view: what it is made from, quoted. */
  readonly sources: readonly string[]
}

const FIND = `
select t.ordinality::integer as at, format('%I.%I', n.nspname, c.relname) as id, c.relkind as kind,
  c.relpersistence = 'p' as "isLogged",
  exists (select from pg_inherits i where i.inhparent = c.oid) as "hasChildren",
  pg_get_userbyid(c.relowner) as owner, current_user as role, pg_has_role(c.relowner, 'USAGE') as "isOwned",
  exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
    where r.prrelid = c.oid and p.pubname = $2) as "isPublished",
  exists (select from pg_publication where pubname = $2) as "isPublicationThere",
  has_schema_privilege(n.oid, 'USAGE') as "mayUseSchema",
  has_schema_privilege(n.oid, 'USAGE') and row_security_active(c.oid) as "isFiltered",
  c.relreplident as identity,
  (select coalesce(json_agg(a.attname), '[]') from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey[0:i.indnkeyatts - 1])
    where i.indrelid = c.oid and i.indisprimary) as "primaryKey",
  (select coalesce(json_agg(k.columns), '[]') from (
    select array_agg(a.attname) as columns from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey[0:i.indnkeyatts - 1])
    where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
    group by i.indexrelid having bool_and(a.attnotnull)) k) as keys,
  (select coalesce(json_agg(json_build_object('name', a.attname, 'isNotNull', a.attnotnull, 'isGenerated', a.attgenerated <> '',
      'type', format_type(case y.typtype when 'd' then y.typbasetype else a.atttypid end, null),
      'cast', format_type(a.atttypid, -1),
      'isReadable', has_column_privilege(c.oid, a.attnum, 'SELECT')) order by a.attnum), '[]')
    from pg_attribute a join pg_type y on y.oid = a.atttypid
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  (select coalesce(json_agg(distinct d.refobjid::regclass::text), '[]')
    from pg_rewrite w join pg_depend d on d.objid = w.oid and d.classid = 'pg_rewrite'::regclass
      and d.refclassid = 'pg_class'::regclass and d.refobjid <> c.oid
    where w.ev_class = c.oid) as sources
from unnest($1::text[]) with ordinality as t (id, ordinality)
join pg_namespace n on n.nspname = split_part(t.id, '.', 1)
join pg_class c on c.relnamespace = n.oid and c.relname = substr(t.id, strpos(t.id, '.') + 1)`

/** @param ids `schema.name` @returns those that are there, by id */
export async function findTables(
  pool: Pool,
  ids: readonly string[],
  publication: string | null,
): Promise<ReadonlyMap<string, FoundTable>> {
  const { rows } = await pool.query<FoundTable & { at: number }>(FIND, [ids, publication])
  return new Map(rows.map((row) => [ids[row.at - 1] ?? '', row]))
}

/** Tables of the same name elsewhere: the usual slip is the schema. */
async function namesakes(pool: Pool, name: string): Promise<readonly string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `select format('%s.%s', n.nspname, c.relname) as id from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relname = $1 and c.relkind = 'r' and n.nspname !~ '^pg_' order by id limit 3`,
    [name],
  )
  return rows.map(({ id }) => id)
}

async function missing(pool: Pool, table: Table, isFilled: boolean): Promise<WatchProblem> {
  const message = `Table ${table.id} does not exist.`
  const code = 'CAPTURE_TABLE_MISSING'
  if (isFilled) return { code, message, mend: 'rescore start creates what connectors fill.' }
  const [other] = await namesakes(pool, table.name)
  const mend =
    other === undefined
      ? 'Create it, or take it out of the configuration.'
      : `There is a table ${other}: did you mean it? Else create ${table.id}, or take it out of the configuration.`
  return { code, message, mend }
}

export function keyProblems(table: Table, found: FoundTable): readonly WatchProblem[] {
  const wanted = [...table.key].sort().join('\n')
  if (found.keys.some((columns) => [...columns].sort().join('\n') === wanted)) return []
  const columns = table.key.map(quoteIdent).join(', ')
  return [
    {
      code: 'CAPTURE_TABLE_KEY',
      message: `Nothing keeps the declared key of table ${found.id} (${table.key.join(', ')}) unique and not null.`,
      mend: `Declare the key it has, or make it one: alter table ${found.id} add primary key (${columns});`,
    },
  ]
}

function identityProblems(found: FoundTable): readonly WatchProblem[] {
  if (found.identity === 'f') return []
  return [
    {
      code: 'CAPTURE_REPLICA_IDENTITY',
      message: `Table ${found.id} does not log old values, so a row that moves to another parent could not be followed.`,
      mend: `alter table ${found.id} replica identity full;`,
    },
  ]
}

function problemsOf(
  table: Table,
  found: FoundTable,
  publication: string | null,
  unpublishable: readonly string[],
): readonly WatchProblem[] {
  const kind = kindProblem(found)
  // Nothing else of it matters then: another table has to be named.
  if (kind !== null) return [kind]
  const rights = rightsProblems(table, found, publication, unpublishable)
  return [...rights, ...columnProblems(table, found), ...keyProblems(table, found), ...identityProblems(found)]
}

export interface WatchOptions {
  /** Null: somebody else publishes their changes. */
  readonly publication: string | null
  /** Ids of tables that connectors fill: made and kept fit by them. */
  readonly filled: ReadonlySet<string>
}

/** What keeps the tables from being watched; empty when nothing does. */
export async function examineTables(
  pool: Pool,
  tables: readonly Table[],
  { publication, filled }: WatchOptions,
): Promise<readonly WatchProblem[]> {
  const ids = tables.map(({ id }) => id)
  const found = await findTables(pool, ids, publication)
  const own = new Map([...found].filter(([id]) => !filled.has(id)))
  const unpublishable = unpublishableOf(own.values())
  const problems: WatchProblem[] = []
  for (const table of tables) {
    const one = found.get(table.id)
    if (one === undefined) problems.push(await missing(pool, table, filled.has(table.id)))
    else if (filled.has(table.id)) problems.push(...identityProblems(one))
    else problems.push(...problemsOf(table, one, publication, unpublishable))
  }
  return problems
}

/** @throws RescoreError of fate `stop`, naming every problem, when a table that no connector fills cannot be watched */
export async function assertWatchable(pool: Pool, tables: readonly Table[], options: WatchOptions): Promise<void> {
  const own = tables.filter(({ id }) => !options.filled.has(id))
  const problems = await examineTables(pool, own, options)
  const [first] = problems
  if (first === undefined) return
  const lines = (of: (problem: WatchProblem) => string) => [...new Set(problems.map(of))].join('\n')
  throw new RescoreError({
    code: first.code,
    fate: 'stop',
    message: lines(({ message }) => message),
    mend: lines(({ mend }) => mend),
  })
}
