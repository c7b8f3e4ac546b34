/**
 * From whatever was left behind to a slot that can be read: the first start, the next, and the one after a loss.
 *
 * Invariants: what is about to be made is noted before it is made, so that a crash in between leaves nothing that is taken
 * for someone else's; after a loss everything is copied anew and nothing of the old history is followed.
 */
import { identify } from '../capture/identity.ts'
import type { FoundTable } from '../capture/watchable.ts'
import type { Pool } from '../db/pool.ts'
import type { CopySpec, Message, SyncContext } from '../define/index.ts'
import { refused } from './error.ts'
import { examineSource } from './examine.ts'
import { createSlot, dropSlot, ensureTables, firstState, lossOf, readSlot, refuseForeign } from './source.ts'
import { type CopyState, rowsCopied } from './state.ts'

export interface Prepared {
  readonly state: CopyState
  readonly found: ReadonlyMap<string, FoundTable>
}

export function checkpoint(state: CopyState): Message<CopyState> {
  return { op: 'checkpoint', state, done: rowsCopied(state) }
}

async function examined(pool: Pool, spec: CopySpec, context: SyncContext<CopyState>) {
  const { problems, found } = await examineSource(pool, spec)
  const blocking = problems.filter(({ isBlocking }) => isBlocking !== false)
  const [first] = blocking
  if (first !== undefined) {
    const text = (of: 'message' | 'mend') => [...new Set(blocking.map((problem) => problem[of]))].join('\n')
    throw refused(first.code, text('message'), text('mend'))
  }
  for (const { code, message, mend } of problems) context.log.warn({ code, mend }, message)
  return found
}

/** Whether the publication that was noted is still there: without it nothing was streamed. */
function isPublished(found: ReadonlyMap<string, FoundTable>): boolean {
  return [...found.values()].every(({ isPublicationThere }) => isPublicationThere)
}

/** Yields what has to be noted on the way. */
export async function* prepare(
  pool: Pool,
  spec: CopySpec,
  context: SyncContext<CopyState>,
): AsyncGenerator<Message<CopyState>, Prepared, void> {
  const identity = await identify(pool)
  const found = await examined(pool, spec, context)
  const slot = await readSlot(pool, spec.slot)
  const noted = context.state
  const isNotedHere = noted?.slot === spec.slot && noted.system === identity.system
  refuseForeign(isNotedHere ? noted : null, slot, spec.slot)
  const loss = noted === null ? null : reasonOf(noted, spec, lossOf(noted, identity, slot), isPublished(found))
  if (noted !== null && noted.lsn !== null && loss === null) {
    const state = await ensureTables(pool, spec, noted, found)
    if (state !== noted) yield checkpoint(state)
    return { state, found }
  }
  if (loss !== null) {
    const message = `The copy cannot be carried on: ${loss}.`
    if (spec.whenSlotIsLost === 'stop') {
      const mend = "Let it copy everything anew: whenSlotIsLost: 'copy again' in the connector's options."
      throw refused('COPY_SLOT_LOST', message, mend)
    }
    context.log.warn({ code: 'COPY_SLOT_LOST', slot: spec.slot }, `${message} Everything is copied anew.`)
  }
  const first = isNotedHere && noted !== null && loss === null ? noted : firstState(spec, identity)
  yield checkpoint(first)
  await dropSlot(pool, slot, spec.slot)
  const published = await ensureTables(pool, spec, { ...first, tables: {} }, found)
  const state = { ...published, lsn: await createSlot(pool, spec.slot) }
  yield checkpoint(state)
  return { state, found }
}

function reasonOf(state: CopyState, spec: CopySpec, loss: string | null, published: boolean): string | null {
  if (state.slot !== spec.slot || state.publication !== spec.publication) {
    return `it read from the slot '${state.slot}' before (drop it at the source), and is now given '${spec.slot}'`
  }
  if (loss === null && state.lsn !== null && !published) return `the publication '${spec.publication}' is gone`
  return loss
}
