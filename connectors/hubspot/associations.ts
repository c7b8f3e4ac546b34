/**
 * Associations as rows. Adding or removing one need not touch either record, so besides the refresh that follows each
 * changed record a stream goes over all records of the left side again and again; the first time is the initial load's.
 * Invariant: the rows of one record are replaced as a whole, so a removed edge disappears.
 */
import { z } from 'zod'
import { defineStream, type Message, type SourceContext, type Stream } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { Batch } from './batch.ts'
import { readAssociations } from './edges.ts'
import type { EdgeSpec, ObjectType } from './object-type.ts'
import { pagesAhead } from './pages-ahead.ts'
import type { Ready } from './ready.ts'
import { listRecords } from './records.ts'

async function edgeMessages(
  api: HubspotApi,
  context: SourceContext,
  from: string,
  edge: EdgeSpec,
  ids: readonly string[],
): Promise<readonly Message<never>[]> {
  const found = await readAssociations(api, context, { from, to: edge.to, ids })
  return [...found].map(([id, edges]) => ({
    op: 'replace',
    table: edge.table,
    scope: { [edge.fromColumn]: id },
    rows: edges.map(({ to, category, typeId, label }) => ({
      [edge.fromColumn]: id,
      [edge.toColumn]: to,
      category,
      type_id: typeId,
      label,
    })),
  }))
}

/** `replace` messages for all edges of the records with these ids. */
export async function associationMessages(
  api: HubspotApi,
  context: SourceContext,
  object: ObjectType,
  ids: readonly string[],
): Promise<readonly Message<never>[]> {
  if (ids.length === 0) return []
  const perEdge = await Promise.all(object.edges.map((edge) => edgeMessages(api, context, object.type, edge, ids)))
  return perEdge.flat()
}

const refreshState = z.object({ after: z.string().nullable(), done: z.number(), passes: z.number() })
type RefreshState = z.infer<typeof refreshState>

/** Goes over all records of a type page by page; each pass ends where the list does. */
export function associationStream(
  api: HubspotApi,
  object: ObjectType,
  everyMs: number,
  ready: Ready,
): Stream<RefreshState> {
  return defineStream<RefreshState>({
    name: `${object.type}_associations`,
    tables: object.edges.map((edge) => edge.table),
    state: { version: 1, schema: refreshState },
    everyMs,
    priority: 'sweep',
    stateFull: () => ({ after: null, done: 0, passes: 0 }),
    async *sync(context) {
      if (context.state === null) {
        // The initial load reads the edges of every record with it.
        yield { op: 'checkpoint', state: { after: null, done: 0, passes: 0 } }
        return
      }
      await ready(context)
      const passes = context.state.passes
      const first = context.state.after
      let done = first === null ? 0 : context.state.done
      const fetch = async (after: string | null) => {
        const read = { type: object.type, properties: [object.cursor], history: [], after }
        const { results, paging } = await listRecords(api, context, read)
        const ids = results.map((record) => record.id)
        const messages = await associationMessages(api, context, object, ids)
        return { ids, messages, next: paging?.next?.after ?? null }
      }
      const batch = new Batch()
      for await (const { ids, messages, next } of pagesAhead(first, fetch)) {
        for (const message of messages) batch.add(message)
        yield* messages
        done += ids.length
        if (next !== null && !batch.full) continue
        yield { op: 'checkpoint', state: { after: next, done, passes: next === null ? passes + 1 : passes }, done }
        batch.landed()
      }
    },
  })
}
