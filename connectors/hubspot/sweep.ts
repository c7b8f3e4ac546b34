/**
 * What last-modified times do not tell: records archived, erased or restored.
 *
 * Two streams per type. `*_archived` lists the recycle bin often. `*_sweep` lists everything rarely: each page holds all
 * ids between its first and last, so rows in between that are not listed are looked for by id. Both only repeat on a crash.
 * Invariant: a range is swept only while the list ascends; a list in another order stops the sweep, not the data.
 */
import { z } from 'zod'
import { defineStream, type Message, type ReadContext, SourceError, type Stream } from '../../src/define/index.ts'
import { type AbsenteeRange, absentees, assertMayRemove } from './absentees.ts'
import type { HubspotApi } from './api.ts'
import { companionsOf, type ObjectType, readOptionsOf, recordMessages, withoutCompanions } from './object-type.ts'
import type { Ready } from './ready.ts'
import { listRecords } from './records.ts'

const archivedState = z.object({ after: z.string().nullable() })
type ArchivedState = z.infer<typeof archivedState>

export interface SweepOptions {
  readonly api: HubspotApi
  readonly object: ObjectType
  readonly everyMs: number
  /** Share of the rows that one sweep may find nowhere and delete. */
  readonly mayRemove: number
  readonly ready: Ready
}

export function archivedStream({
  api,
  object,
  everyMs,
  ready,
}: Omit<SweepOptions, 'mayRemove'>): Stream<ArchivedState> {
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
  /** Records this sweep has found nowhere. */
  gone: z.number(),
  /** Nothing is swept before: too many were nowhere. */
  heldUntilMs: z.number(),
})
type SweepState = z.infer<typeof sweepState>
const firstVersion = sweepState.pick({ endedMs: true, after: true, lastId: true })

/** Not before `everyMs` has passed since the last whole sweep, also across restarts. */
const LOOK_EVERY_MS = 60_000

/** @throws SourceError HUBSPOT_LIST_ORDER when the ids do not ascend from `lastId` */
export function assertAscending(type: string, lastId: bigint | null, ids: readonly bigint[]): void {
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

/** From `state` to the end of the list, a checkpoint for each page at least. */
export async function* sweepAll<S>(
  { api, object, mayRemove }: Pick<SweepOptions, 'api' | 'object' | 'mayRemove'>,
  context: ReadContext,
  start: SweepPosition,
  checkpoint: (at: SweepPosition | null) => Message<S>,
): AsyncGenerator<Message<S>, void, void> {
  const read = { ...readOptionsOf(object), history: [] }
  let { after, gone } = start
  let lastId = start.lastId === null ? null : BigInt(start.lastId)
  const at = (): SweepPosition => ({ after, lastId: lastId?.toString() ?? null, gone })
  async function* missing(range: AbsenteeRange, alive: bigint[]): AsyncGenerator<Message<S>, void, void> {
    for await (const found of absentees(api, context, object, range)) {
      await assertMayRemove(context, object, { before: gone, more: found.gone }, mayRemove)
      yield* found.messages
      alive.push(...found.alive)
      gone += found.gone
      yield checkpoint(at())
    }
  }
  do {
    const { results, paging } = await listRecords(api, context, { ...read, after })
    const present = results.map((record) => BigInt(record.id))
    assertAscending(object.type, lastId, present)
    yield* recordMessages(object, results)
    const upTo = present.at(-1)
    if (upTo !== undefined) {
      yield* missing({ after: lastId, upTo, present }, present)
      // What belongs to no record any more: a slow pass over associations may have landed it after its record went.
      for (const companion of companionsOf(object)) yield { op: 'sweep', ...companion, after: lastId, upTo, present }
    }
    const next = paging?.next?.after ?? null
    if (next === null) yield* missing({ after: upTo ?? lastId, upTo: null, present: [] }, [])
    lastId = upTo ?? lastId
    after = next
    yield checkpoint(next === null ? null : at())
  } while (after !== null)
}

export interface SweepPosition {
  readonly after: string | null
  readonly lastId: string | null
  readonly gone: number
}

export function sweepStream(options: SweepOptions): Stream<SweepState> {
  const { object, everyMs, ready } = options
  const due: SweepState = { endedMs: 0, after: null, lastId: null, gone: 0, heldUntilMs: 0 }
  return defineStream<SweepState>({
    name: `${object.type}_sweep`,
    tables: [object.table],
    state: {
      version: 2,
      schema: sweepState,
      migrate: (state) => ({ ...firstVersion.parse(state), gone: 0, heldUntilMs: 0 }),
    },
    everyMs: Math.min(everyMs, LOOK_EVERY_MS),
    priority: 'sweep',
    stateFull: () => due,
    async *sync(context) {
      const { state } = context
      const now = context.now()
      if (state === null) {
        // The initial load has just read everything.
        yield { op: 'checkpoint', state: { ...due, endedMs: now } }
        return
      }
      if ((state.after === null && now < state.endedMs + everyMs) || now < state.heldUntilMs) return
      await ready(context)
      let { gone } = state
      try {
        yield* sweepAll<SweepState>(options, context, state, (at) => {
          gone = at?.gone ?? gone
          const next = at === null ? { ...due, endedMs: context.now() } : { ...state, ...at }
          return { op: 'checkpoint', state: next }
        })
      } catch (error) {
        // What has gone counts on until a sweep comes to its end, or each would remove as much again.
        const held = { ...due, gone, endedMs: state.endedMs, heldUntilMs: now + everyMs }
        if (error instanceof SourceError && error.code === 'HUBSPOT_MASS_REMOVAL') {
          yield { op: 'checkpoint', state: held }
        }
        throw error
      }
    },
  })
}
