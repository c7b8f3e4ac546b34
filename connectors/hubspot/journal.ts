/**
 * The webhooks journal as a second feed: it tells of what no time of modification does (deletions, merges, associations)
 * within seconds. Every record it names is read by id, as for a webhook.
 *
 * Invariants: the position moves only with the records of its file, in one transaction; where the position is lost (HubSpot
 * keeps three days) or was left for longer than that, a new one is taken first and then every table is swept, so that
 * nothing that was missed in between stays. The looks for changes go on beside it: the journal adds, it replaces nothing.
 */
import { z } from 'zod'
import {
  defineStream,
  type Message,
  type ReadContext,
  SourceError,
  type Stream,
  type SyncContext,
} from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { propertiesOf } from './coerce.ts'
import { HYDRATE, hydrate } from './hydrate.ts'
import {
  ensureSubscriptions,
  type HubspotJournal,
  type JournalEvent,
  latestFile,
  nextFile,
  readFile,
} from './journal-api.ts'
import { companionsOf, type ObjectType } from './object-type.ts'
import type { PortalSchemas } from './schemas.ts'
import { sweepAll } from './sweep.ts'

const journalState = z.object({
  /** Of the last file that was read; null: the journal was empty. */
  offset: z.string().nullable(),
  /** When the position was last known to be whole. */
  readMs: z.number(),
  /** When everything was last swept because of a gap. */
  sweptMs: z.number(),
  /** Types still to be swept after a gap; the first of them is under way. */
  sweep: z.array(z.string()),
  after: z.string().nullable(),
  lastId: z.string().nullable(),
  gone: z.number(),
})
type JournalState = z.infer<typeof journalState>
type Messages = AsyncGenerator<Message<JournalState>, JournalState, void>

/** An hour less than HubSpot keeps: a position older than that may have lost what came after it. */
const KEPT_MS = 71 * 3_600_000
/** Everything is swept at most this often. */
const GAPS_APART_MS = 3_600_000
const SAVE_EVERY_MS = 60_000

export interface JournalOptions {
  readonly api: HubspotApi
  readonly journal: HubspotJournal
  readonly objects: readonly ObjectType[]
  readonly schemas: PortalSchemas
  readonly mayRemove: number
}

/** Ids by type, each once; events of other portals and types are passed over. */
export function recordsIn(
  events: readonly JournalEvent[],
  portalId: string,
  typeOf: (objectTypeId: string) => string | undefined,
): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  const add = (objectTypeId: string | null | undefined, id: string | null | undefined) => {
    const type = typeOf(objectTypeId ?? '')
    if (type === undefined || id === null || id === undefined || !/^\d{1,19}$/.test(id)) return
    found.set(type, (found.get(type) ?? new Set()).add(id))
  }
  for (const one of events) {
    if (one.portalId !== undefined && one.portalId !== portalId) continue
    const ids = [one.objectId, one.primaryObjectId, one.newObjectId, ...(one.mergedObjectIds ?? [])]
    for (const id of ids) add(one.objectTypeId, id)
    add(one.associatedObjectTypeId, one.associatedObjectId)
  }
  return found
}

const settled = { sweep: [], after: null, lastId: null, gone: 0 }

async function* startAtEnd({ api }: JournalOptions, context: ReadContext): Messages {
  const latest = await latestFile(context, api.paths)
  const state: JournalState = { ...settled, offset: latest?.offset ?? null, readMs: context.now(), sweptMs: 0 }
  yield { op: 'checkpoint', state }
  return state
}

/** A new position, and everything to be swept from there. */
async function* afterGap(options: JournalOptions, context: ReadContext, { sweptMs }: JournalState): Messages {
  const { api, objects } = options
  const now = context.now()
  if (now - sweptMs < GAPS_APART_MS) {
    throw new SourceError({
      kind: 'transient',
      code: 'HUBSPOT_JOURNAL_GAP',
      message: 'HubSpot does not know the position in the journal it gave itself.',
      mend: 'It is tried again by itself; the looks for changes and sweeps go on. If it lasts, leave journal out of hubspot().',
    })
  }
  const latest = await latestFile(context, api.paths)
  const sweep = objects.map(({ type }) => type)
  const state: JournalState = { ...settled, offset: latest?.offset ?? null, readMs: now, sweptMs: now, sweep }
  context.log.warn({ types: sweep }, 'The journal has a gap: all records are swept.')
  yield { op: 'checkpoint', state }
  return state
}

async function* sweepLeft(options: JournalOptions, context: ReadContext, start: JournalState): Messages {
  let state = start
  while (state.sweep.length > 0) {
    const [type = '', ...left] = state.sweep
    const object = options.objects.find((one) => one.type === type)
    const done: JournalState = { ...state, ...settled, sweep: left }
    try {
      if (object !== undefined) {
        const at = state
        yield* sweepAll<JournalState>({ ...options, object }, context, at, (position) => ({
          op: 'checkpoint',
          state: position === null ? done : { ...at, ...position },
        }))
      }
    } catch (error) {
      // The sweep of the day meets it too, and says so until it is mended.
      if (!(error instanceof SourceError) || error.code !== 'HUBSPOT_MASS_REMOVAL') throw error
      context.log.warn({ type }, error.message)
    }
    state = done
    yield { op: 'checkpoint', state }
  }
  return state
}

async function* follow(options: JournalOptions, context: ReadContext, start: JournalState): Messages {
  const { api, journal, objects, schemas } = options
  let state = start
  for (;;) {
    const isOld = context.now() - state.readMs > KEPT_MS
    const next = isOld ? 'gap' : await nextFile(context, api.paths, state.offset)
    if (next === 'gap') return yield* afterGap(options, context, state)
    if (next === null) {
      if (context.now() - state.readMs < SAVE_EVERY_MS) return state
      state = { ...state, readMs: context.now() }
      yield { op: 'checkpoint', state }
      return state
    }
    const events = await readFile(context, next)
    const records = recordsIn(events, String(journal.portalId), (id) => schemas.typeOf(id))
    for (const object of objects) {
      const ids = [...(records.get(object.type) ?? [])]
      for (let from = 0; from < ids.length; from += HYDRATE) {
        yield* hydrate({ api, object }, context, ids.slice(from, from + HYDRATE))
        // In the middle of a file: after a crash the file is read again.
        yield { op: 'checkpoint', state }
      }
    }
    state = { ...state, offset: next.offset, readMs: context.now() }
    yield { op: 'checkpoint', state }
  }
}

export function journalStream(options: JournalOptions): Stream<JournalState> {
  const { api, journal, objects, schemas } = options
  let isSubscribed = false
  async function subscribe(context: SyncContext<JournalState>): Promise<void> {
    if (isSubscribed) return
    await schemas.read(context)
    const types = []
    for (const { type, table, cursor } of objects) {
      const objectTypeId = await schemas.idOf(context, type)
      // The time of modification moves with every property, those nobody reads included.
      const properties = propertiesOf(table).filter((name) => name !== cursor)
      if (objectTypeId !== undefined) types.push({ objectTypeId, properties })
    }
    const made = await ensureSubscriptions(context, api.paths, String(journal.portalId), types)
    if (made > 0) context.log.info({ made }, 'Subscriptions of the journal were made.')
    isSubscribed = true
  }
  return defineStream<JournalState>({
    name: 'journal',
    tables: [
      ...new Set(objects.flatMap((object) => [object.table, ...companionsOf(object).map(({ table }) => table)])),
    ],
    state: { version: 1, schema: journalState },
    everyMs: journal.everyMs ?? 5_000,
    async *sync(context) {
      await subscribe(context)
      const start = context.state ?? (yield* startAtEnd(options, context))
      const swept = yield* sweepLeft(options, context, start)
      const followed = yield* follow(options, context, swept)
      yield* sweepLeft(options, context, followed)
    },
  })
}
