/**
 * A table made from another one, row by row: what a CRM says of a company, such as its website, as the key something else
 * knows it by. The result is an association table, which relations go through and lookups read their keys from.
 *
 * ```ts
 * derive({ table: companyDomains, from: companies, columns: { given: 'domain' }, row: ({ given }) => ({ domain: domainOf(given) }) })
 * ```
 * Invariant: asked of both tables each time, so it holds whatever happened to either; a row of `from` has one row here,
 * and a row that is gone has none.
 */
import { z } from 'zod'
import type { Message, SourceRow } from './message.ts'
import { defineStream, type Stream } from './stream.ts'
import type { Table } from './table.ts'

type Given = Readonly<Record<string, string | null>>

export interface DeriveSpec {
  /** Default: the table's name. */
  readonly name?: string
  /** Its key columns stand for those of `from`, in the same order. */
  readonly table: Table
  readonly from: Table
  /** Columns of `table` that repeat one of `from`: their names in that order. They say when a row is to be made anew. */
  readonly columns: Readonly<Record<string, string>>
  /** The other columns, made from the repeated ones (as text). */
  row(given: Given): SourceRow
  /** Rows of other tables that go with it; only ever added. */
  readonly also?: { readonly table: Table; row(row: SourceRow): SourceRow | null }
  /** Pause between looks; default 5 s. */
  readonly everyMs?: number
}

const BATCH = 1_000
const state = z.object({ done: z.number() })

export function derive(spec: DeriveSpec): Stream<z.infer<typeof state>> {
  const { table, from, columns, also } = spec
  return defineStream({
    name: spec.name ?? table.name,
    tables: also === undefined ? [table] : [table, also.table],
    everyMs: spec.everyMs ?? 5_000,
    state: { version: 1, schema: state },
    async *sync(context) {
      let done = context.state?.done ?? 0
      let before = ''
      for (;;) {
        const outdated = await context.outdated({ of: from, copy: table, columns, limit: BATCH })
        if (outdated.length === 0) return
        const found = JSON.stringify(outdated)
        if (found === before) {
          context.log.warn({ rows: outdated.length }, 'Rows made from another table do not land: see rejects.')
          return
        }
        before = found
        for (const { key, row: given } of outdated) yield* messagesOf(spec, key, given)
        done += outdated.length
        yield { op: 'checkpoint', state: { done }, done }
      }
    },
  })
}

function* messagesOf(spec: DeriveSpec, key: SourceRow, given: Given | null): Generator<Message<never>, void, void> {
  const { table, also } = spec
  if (given === null) {
    yield { op: 'delete', table, key, reason: 'gone' }
    return
  }
  const row = { ...key, ...given, ...spec.row(given) }
  const beside = also?.row(row) ?? null
  if (also !== undefined && beside !== null) yield { op: 'upsert', table: also.table, row: beside }
  yield { op: 'upsert', table, row }
}
