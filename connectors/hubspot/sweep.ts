/**
 * What last-modified times do not tell: records archived, erased or restored.
 *
 * Two streams per type. `*_archived` lists the recycle bin often. `*_sweep` lists everything rarely: each page holds all
 * ids between its first and last, so rows in between that are not listed are gone. Both only repeat on a crash.
 * Invariant: a range is swept only while the list ascends; a list in another order stops the sweep, not the data.
 */
import { z } from 'zod'
import { defineStream, type SourceContext, SourceError, type Stream } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { companionsOf, type ObjectType, readOptionsOf, recordMessages, withoutCompanions } from './object-type.ts'
import { listRecords } from './records.ts'

const archivedState = z.object({ after: z.string().nullable() })
type ArchivedState = z.infer<typeof archivedState>

export interface SweepOptions {
  readonly api: HubspotApi
  readonly object: ObjectType
  readonly everyMs: number
  readonly ready: (context: SourceContext) => Promise<void>
}

export function archivedStream({ api, object, everyMs, ready }: SweepOptions): Stream<ArchivedState> {
  return defineStream<ArchivedState>({
    name: `${object.type}_archived`,
    tables: [object.table],
    state: { version: 1, schema: archivedState },
    everyMs,
    priority: 'sweep',
    async *sync(context) {
      await ready(context)
      let after = context.state?.after ?? null
      do {
        const read = { type: object.type, properties: [object.cursor], history: [], after, archived: true }
        const { results, paging } = await listRecords(api, context, read)
        for (const { id } of results) yield { op: 'delete', table: object.table, key: { id }, reason: 'archived' }
        for (const { id } of results) yield* withoutCompanions(object, id)
        after = paging?.next?.after ?? null
        yield { op: 'checkpoint', state: { after } }
      } while (after !== null)
    },
  })
}

const sweepState = z.object({
  /** When the last whole sweep ended, or, before the first, when the stream first ran. */
  endedMs: z.number(),
  after: z.string().nullable(),
  lastId: z.string().nullable(),
})
type SweepState = z.infer<typeof sweepState>

/** Not before `everyMs` has passed since the last whole sweep, also across restarts. */
const LOOK_EVERY_MS = 60_000

/** @throws SourceError HUBSPOT_LIST_ORDER when the ids do not ascend from `lastId` */
function assertAscending(type: string, lastId: bigint | null, ids: readonly bigint[]): void {
  let previous = lastId
  for (const id of ids) {
    if (previous !== null && id <= previous) {
      throw new SourceError({
        kind: 'transient',
        code: 'HUBSPOT_LIST_ORDER',
        message: `The list of ${type} is not in order of id (${id} after ${previous}), so nothing is swept.`,
        mend: 'Rows of erased records stay until the list ascends again; everything else goes on.',
      })
    }
    previous = id
  }
}

export function sweepStream({ api, object, everyMs, ready }: SweepOptions): Stream<SweepState> {
  return defineStream<SweepState>({
    name: `${object.type}_sweep`,
    tables: [object.table],
    state: { version: 1, schema: sweepState },
    everyMs: Math.min(everyMs, LOOK_EVERY_MS),
    priority: 'sweep',
    async *sync(context) {
      const { state } = context
      if (state === null) {
        // The initial load has just read everything.
        yield { op: 'checkpoint', state: { endedMs: context.now(), after: null, lastId: null } }
        return
      }
      if (state.after === null && context.now() < state.endedMs + everyMs) return
      await ready(context)
      const { table } = object
      const read = { ...readOptionsOf(object), history: [] }
      let after = state.after
      let lastId = state.lastId === null ? null : BigInt(state.lastId)
      do {
        const { results, paging } = await listRecords(api, context, { ...read, after })
        const present = results.map((record) => BigInt(record.id))
        assertAscending(object.type, lastId, present)
        yield* recordMessages(object, results)
        const upTo = present.at(-1)
        if (upTo !== undefined) {
          yield { op: 'sweep', table, after: lastId, upTo, present }
          for (const companion of companionsOf(object))
            yield { op: 'sweep', ...companion, after: lastId, upTo, present }
        }
        lastId = upTo ?? lastId
        after = paging?.next?.after ?? null
        const ended = after === null
        yield {
          op: 'checkpoint',
          state: {
            endedMs: ended ? context.now() : state.endedMs,
            after,
            lastId: ended ? null : (lastId?.toString() ?? null),
          },
        }
      } while (after !== null)
    },
  })
}
