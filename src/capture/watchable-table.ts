/**
 * Kinds of tables whose changes cannot be captured, and rights a role may lack.
 * Invariant: pure; what is refused is what PostgreSQL would refuse later in other words, or would leave out in silence.
 */
import type { Table } from '../define/index.ts'
import type { FoundTable, WatchProblem } from './watchable.ts'

const KINDS: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  p: 'a partitioned table',
  S: 'a sequence',
  i: 'an index',
  c: 'a type',
}

const refused = (found: FoundTable, what: string, mend: string): WatchProblem => ({
  code: 'CAPTURE_TABLE_KIND',
  message: `Table ${found.id} is ${what}, and changes of one cannot be followed.`,
  mend,
})

/** null: a table like any other. */
export function kindProblem(found: FoundTable): WatchProblem | null {
  const { id, kind, sources } = found
  const what = KINDS[kind]
  if (kind === 'v' || kind === 'm') {
    const from = sources.length === 0 ? 'the tables it reads' : `the tables it reads: ${sources.join(', ')}`
    return refused(found, KINDS[kind] ?? 'a view', `Declare ${from}; what the view computes belongs in features.`)
  }
  if (kind === 'f') {
    return refused(
      found,
      'a foreign table',
      'Copy it from where it lies: the connector `postgres` (docs/own-tables.md).',
    )
  }
  if (kind === 'p') {
    const mend =
      'A partition that is truncated, detached or dropped leaves no trace of its rows in the log. Declare its partitions one by one, or keep a plain table beside it.'
    return refused(found, 'a partitioned table', mend)
  }
  if (what !== undefined) return refused(found, what, 'Declare a table.')
  if (!found.isLogged) {
    return refused(found, 'not in the write-ahead log (unlogged or temporary)', `alter table ${id} set logged;`)
  }
  if (found.hasChildren) {
    const mend = 'Declare its child tables one by one: rows of them are read with it, but their changes are not.'
    return refused(found, 'the parent of inherited tables', mend)
  }
  return null
}

function rights(message: string, mend: string): WatchProblem {
  return { code: 'CAPTURE_TABLE_RIGHTS', message, mend }
}

const quoted = (role: string) => `"${role.replaceAll('"', '""')}"`

/** PostgreSQL lets only the owner add a table to a publication. */
const isUnpublishable = (found: FoundTable) => !found.isOwned && !found.isPublished

/** Tables that only a superuser can publish, quoted. */
export function unpublishableOf(found: Iterable<FoundTable>): readonly string[] {
  return [...found].filter((one) => isUnpublishable(one) && kindProblem(one) === null).map(({ id }) => id)
}

/**
 * @param publication null: somebody else publishes its changes
 * @param unpublishable all tables that only a superuser can publish, quoted: one statement does it for all
 */
export function rightsProblems(
  table: Table,
  found: FoundTable,
  publication: string | null,
  unpublishable: readonly string[],
): readonly WatchProblem[] {
  const { id, role, owner } = found
  const problems: WatchProblem[] = []
  if (!found.mayUseSchema) {
    const message = `The role ${role} may not use the schema of table ${id}.`
    problems.push(rights(message, `grant usage on schema "${table.schema}" to ${quoted(role)};`))
  }
  const unreadable = found.columns.filter(({ name, isReadable }) => Object.hasOwn(table.columns, name) && !isReadable)
  if (unreadable.length > 0) {
    const message = `The role ${role} may not read ${unreadable.map(({ name }) => name).join(', ')} of table ${id}.`
    problems.push(rights(message, `grant select on ${id} to ${quoted(role)};`))
  }
  if (found.isFiltered) {
    const message = `Row-level security hides rows of table ${id} from the role ${role}: the log would name rows it cannot see.`
    problems.push(rights(message, `alter role ${quoted(role)} bypassrls;`))
  }
  if (publication !== null && isUnpublishable(found)) {
    const name = `"${publication}"`
    const list = unpublishable.join(', ')
    const publish = found.isPublicationThere
      ? `alter publication ${name} add table ${list};`
      : `create publication ${name} for table ${list}; alter publication ${name} owner to ${quoted(role)};`
    const message = `Table ${id} belongs to ${owner}, and the role ${role} may not publish its changes.`
    problems.push(rights(message, `As a superuser: ${publish} Or: grant ${quoted(owner)} to ${quoted(role)};`))
  }
  return problems
}
