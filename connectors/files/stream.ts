/**
 * Files as a stream of records: which are to be read, from where, and what that means for the table.
 *
 * Invariants: how far a file was read is kept in the transaction of its rows, so a kill goes on at the line it had come to;
 * a file that is still being written is left until it rests; a snapshot deletes only when all of it was read, no line of it
 * was bad and nothing of it changed meanwhile; where there is no file at all, nothing is deleted.
 */
import { z } from 'zod'
import { defineStream, type Message, type SourceRow, type Stream, type SyncContext } from '../../src/define/index.ts'
import { type FoundFile, findFiles, headOf, lookAt, stampOf, stampOfAll } from './found.ts'
import type { FileStream } from './options.ts'
import { BEGINNING, type Place, placeSchema, readFrom } from './read.ts'

const filesState = z.object({
  /** The file being read, as it was found, and how far. */
  reading: z.object({ stamp: z.string(), place: placeSchema }).nullable(),
  /** The snapshot being read: its name, how many of its files are done, and whether no line was bad so far. */
  snapshot: z.object({ listing: z.string(), done: z.number(), isClean: z.boolean() }).nullable(),
  /** The snapshot that was read last. */
  known: z.string().nullable(),
  /** What has changed since it was read, at the last look: it is read when it looks the same at the next one. */
  resting: z.object({ atMs: z.number(), stamps: z.array(z.string()) }),
  isDone: z.boolean(),
  rows: z.number(),
})
type FilesState = z.infer<typeof filesState>
type Context = SyncContext<FilesState>
type Messages = AsyncGenerator<Message<FilesState>, FilesState, void>

const FIRST: FilesState = {
  reading: null,
  snapshot: null,
  known: null,
  resting: { atMs: 0, stamps: [] },
  isDone: false,
  rows: 0,
}

/** Of a file: how far it was read, and what it began with. `stamp`: of the file when it was read to its end, else empty. */
const readSchema = z.object({ stamp: z.string(), head: z.string(), headBytes: z.number(), place: placeSchema })
type WasRead = z.infer<typeof readSchema>

/** Names recalled at once. */
const RECALLED = 500
/** Files that wait for their second look; more are looked at when these are read. */
const MOST_RESTING = 10_000

async function recalled(context: Context, files: readonly FoundFile[]): Promise<ReadonlyMap<string, WasRead>> {
  const found = new Map<string, WasRead>()
  for (let at = 0; at < files.length; at += RECALLED) {
    const names = files.slice(at, at + RECALLED).map(({ id }) => id)
    for (const [name, value] of await context.recall(names)) found.set(name, readSchema.parse(JSON.parse(value)))
  }
  return found
}

async function remembered({ id, path }: FoundFile, stamp: string, place: Place): Promise<Message<never>> {
  const { hash, bytes } = await headOf(path)
  const value: WasRead = { stamp, head: hash, headBytes: bytes, place }
  return { op: 'remember', name: id, value: JSON.stringify(value) }
}

interface Reading {
  readonly stream: FileStream
  readonly context: Context
  readonly file: FoundFile
  readonly from: Place
  /** Of the snapshot the file belongs to. */
  readonly listing?: string
}

/** One file to its end. */
async function* readOne({ stream, context, file, from, listing }: Reading, start: FilesState): Messages {
  const { table } = stream
  const isGrowing = stream.mode === 'append'
  const stamp = stampOf(file)
  let state: FilesState = { ...start, reading: { stamp, place: from } }
  let keys: SourceRow[] = []
  const source = { stream, path: file.path, isGrowing, signal: context.signal }
  for await (const read of readFrom(source, from)) {
    if ('message' in read) {
      yield read.message
      if (read.message.op === 'upsert' && listing !== undefined) keys.push(keyOf(stream, read.message.row))
      if (read.message.op === 'reject' && state.snapshot !== null) {
        state = { ...state, snapshot: { ...state.snapshot, isClean: false } }
      }
      continue
    }
    if (listing !== undefined && keys.length > 0) yield { op: 'listed', table, listing, keys }
    keys = []
    state = { ...state, reading: { stamp, place: read.place }, rows: state.rows + read.rows }
    // What stands in a growing file counts however it goes on, so its place is not bound to the stamp of now.
    if (isGrowing) yield await remembered(file, '', read.place)
    yield { op: 'checkpoint', state, done: state.rows }
  }
  return state
}

const keyOf = ({ table }: FileStream, row: SourceRow): SourceRow =>
  Object.fromEntries(table.key.map((column) => [column, row[column] ?? null]))

/** Where a read that was broken off goes on. */
const placeIn = ({ reading }: FilesState, file: FoundFile): Place =>
  reading?.stamp === stampOf(file) ? reading.place : BEGINNING

/** upsert: files that are new or have changed, each from its beginning. */
async function* readChanged(
  stream: FileStream,
  context: Context,
  files: readonly FoundFile[],
  start: FilesState,
): Messages {
  let state = start
  for (const file of files) {
    state = yield* readOne({ stream, context, file, from: placeIn(state, file) }, state)
    const now = await lookAt(file.path)
    // Changed while it was read: it is read again when it rests.
    if (now !== null && stampOf(now) === stampOf(file)) {
      yield await remembered(file, stampOf(file), state.reading?.place ?? BEGINNING)
    }
    state = { ...state, reading: null }
    yield { op: 'checkpoint', state, done: state.rows }
  }
  return state
}

/** append: of every file what has come since. */
async function* readGrown(
  stream: FileStream,
  context: Context,
  files: readonly FoundFile[],
  start: FilesState,
): Messages {
  let state = start
  const known = await recalled(context, files)
  for (const file of files) {
    const was = known.get(file.id)
    if (was?.stamp === stampOf(file)) continue
    const isSame =
      was !== undefined && file.size >= was.place.offset && (await headOf(file.path, was.headBytes)).hash === was.head
    state = yield* readOne({ stream, context, file, from: isSame ? was.place : BEGINNING }, state)
    yield await remembered(file, stampOf(file), state.reading?.place ?? BEGINNING)
    state = { ...state, reading: null }
    yield { op: 'checkpoint', state, done: state.rows }
  }
  return state
}

/** snapshot: all of the files together. */
async function* readWhole(
  stream: FileStream,
  context: Context,
  files: readonly FoundFile[],
  start: FilesState,
): Messages {
  const { table } = stream
  const listing = stampOfAll(files)
  const begun: FilesState = { ...start, reading: null, snapshot: { listing, done: 0, isClean: true } }
  let state = start.snapshot?.listing === listing ? start : begun
  for (const [at, file] of files.entries()) {
    if (at < (state.snapshot?.done ?? 0)) continue
    state = yield* readOne({ stream, context, file, from: placeIn(state, file), listing }, state)
    state = { ...state, reading: null, snapshot: { listing, done: at + 1, isClean: state.snapshot?.isClean ?? false } }
    yield { op: 'checkpoint', state, done: state.rows }
  }
  const isStill = stampOfAll(await findFiles(stream.path, context.signal)) === listing
  if (isStill && state.snapshot?.isClean === true) yield { op: 'unlisted', table, listing }
  else if (isStill)
    context.log.warn({ path: stream.path }, 'A snapshot with bad lines was read: rows that are not in it stay.')
  state = { ...state, snapshot: null, known: isStill ? listing : null }
  yield { op: 'checkpoint', state, done: state.rows }
  return state
}

export interface Watching {
  readonly watch: boolean
  readonly everyMs: number
}

interface Rested {
  readonly state: FilesState
  /** By stamp. */
  readonly ready: ReadonlySet<string>
}

/** What looks as it did at the last look; the rest has to wait for the next one. */
function rested(state: FilesState, stamps: readonly string[], nowMs: number, { watch, everyMs }: Watching): Rested {
  if (!watch) return { state, ready: new Set(stamps) }
  const { atMs, stamps: before } = state.resting
  // Passes of the service are `everyMs` apart; one that somebody asks for in between says nothing of rest.
  if (before.length > 0 && nowMs - atMs < everyMs * 0.9) {
    const isMoved = stamps.some((stamp) => !before.includes(stamp))
    const resting = isMoved ? { atMs: nowMs, stamps: stamps.slice(0, MOST_RESTING) } : state.resting
    return { state: { ...state, resting }, ready: new Set() }
  }
  const ready = new Set(stamps.filter((stamp) => before.includes(stamp)))
  const waiting = stamps.filter((stamp) => !ready.has(stamp)).slice(0, MOST_RESTING)
  return { state: { ...state, resting: { atMs: nowMs, stamps: waiting } }, ready }
}

async function* pass(
  stream: FileStream,
  context: Context,
  watching: Watching,
): AsyncGenerator<Message<FilesState>, void, void> {
  const start = context.state ?? FIRST
  if (start.isDone) return
  const files = await findFiles(stream.path, context.signal)
  let state = start
  if (stream.mode === 'append') state = yield* readGrown(stream, context, files, state)
  else if (stream.mode === 'snapshot') {
    const look = files.length === 0 ? [] : [stampOfAll(files)].filter((stamp) => stamp !== start.known)
    const { state: next, ready } = rested(state, look, context.now(), watching)
    state = ready.size === 0 ? next : yield* readWhole(stream, context, files, next)
  } else {
    const known = await recalled(context, files)
    const changed = files.filter((file) => known.get(file.id)?.stamp !== stampOf(file))
    const { state: next, ready } = rested(state, changed.map(stampOf), context.now(), watching)
    state = yield* readChanged(
      stream,
      context,
      changed.filter((file) => ready.has(stampOf(file))),
      next,
    )
  }
  const isDone = !watching.watch
  const isSame = state.resting.stamps.join() === start.resting.stamps.join() && !isDone
  if (!isSame) yield { op: 'checkpoint', state: { ...state, isDone }, done: state.rows }
}

export function fileStream(stream: FileStream, watching: Watching): Stream<FilesState> {
  return defineStream<FilesState>({
    name: stream.name ?? stream.table.name,
    tables: [stream.table],
    everyMs: watching.everyMs,
    state: { version: 1, schema: filesState },
    sync: (context) => pass(stream, context, watching),
  })
}
