/**
 * A Singer stream, run: the tap is asked, chosen from, run once, and what it says is landed.
 *
 * Invariants: the state goes forward only with the records before it (reading.ts); a run that did not end well is never
 * taken for a whole one, though what it brought is kept; code 0 alone does not make a run good: it must have said a
 * SCHEMA. A crash anywhere is repeated from the last state that was committed.
 */
import {
  defineStream,
  type Message,
  type SingerStream,
  type SingerStreamSpec,
  type SourceContext,
  SourceError,
  type Stream,
  type SyncContext,
} from '../../define/index.ts'
import { methodOf, namesOf, selectIn, streamIn } from './catalog.ts'
import { type Discovered, discover, rememberFlag } from './discover.ts'
import { tapFailure } from './failure.ts'
import type { RunFiles } from './folder.ts'
import type { Line } from './lines.ts'
import { readLine } from './message.ts'
import { Reading } from './reading.ts'
import { brokenLine, Tap, TapRun } from './run.ts'
import { FIRST_STATE, type SingerState, singerState } from './state.ts'

type Messages = AsyncGenerator<Message<SingerState>, void, void>

/** Silence after which what has come so far is committed. */
const PAUSE_MS = 500

function* takeLine(reading: Reading, run: TapRun, { text, tooLong }: Line, doing: string) {
  if (tooLong !== undefined) {
    if (!/^\s*\{[^{]*"type"\s*:\s*"RECORD"/i.test(text)) throw brokenLine(text, doing)
    yield* reading.tooLong(text, tooLong)
    return
  }
  const line = readLine(text)
  if (line.kind === 'broken') throw brokenLine(text, doing)
  const noise = line.kind === 'noise' ? line.text : line.noise
  if (noise !== undefined) run.say('stdout', noise)
  if (line.kind === 'message') yield* reading.take(line.message, text.length)
}

/** Lands one run. @returns whether the tap said what it reads, if only that there is nothing */
async function* readRun(
  tap: Tap,
  files: RunFiles,
  reading: Reading,
  context: SourceContext,
  doing: string,
): AsyncGenerator<Message<SingerState>, boolean, void> {
  await using run = await TapRun.start(tap, [], files, context, doing)
  for (let pulled = await run.next(PAUSE_MS); pulled !== 'end'; pulled = await run.next(PAUSE_MS)) {
    if (pulled === 'idle') yield* reading.save()
    else for (const line of pulled) yield* takeLine(reading, run, line, doing)
  }
  const ended = await run.ended()
  if (ended.code === 0 && reading.hasSpoken) {
    yield* reading.finish()
    return true
  }
  // What came before it failed is true all the same.
  yield* reading.save()
  const wantsOther = files.flag === '--catalog' && files.catalog !== undefined && !reading.hasSpoken
  if (wantsOther && (ended.code === 0 || ended.code === 2)) return false
  throw ended.code === 0 ? silent(ended.said) : tapFailure(ended, doing)
}

function silent(said: readonly string[]): SourceError {
  const words = said.slice(-3).join(' ')
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_SILENT',
    message: `The tap ended well but said nothing of what it was asked to read. ${words}`,
    mend: 'Run it by hand with its configuration. Does it know the stream, and does it take a catalog?',
  })
}

async function* sync(declared: SingerStream, context: SyncContext<SingerState>): Messages {
  const { tap: spec, spec: stream } = declared.singer
  const tap = await Tap.open(spec, context)
  const discovered = await discover(tap, context)
  const state = context.state ?? FIRST_STATE
  const catalog = discovered.catalog === null ? undefined : JSON.stringify(selectIn(discovered.catalog, stream))
  const doing = `reading '${stream.stream}'`
  const read = (flag: Discovered['flag']) =>
    readRun(
      tap,
      { catalog, flag, state: state.value ?? undefined },
      readingOf(discovered, stream, context),
      context,
      doing,
    )
  if (yield* read(discovered.flag)) return
  context.log.info({ stream: stream.stream }, 'The tap took no --catalog; it is tried with --properties.')
  yield* read('--properties')
  await rememberFlag(tap, { ...discovered, flag: '--properties' }, context)
}

function readingOf({ catalog }: Discovered, spec: SingerStreamSpec, context: SyncContext<SingerState>): Reading {
  const state = context.state ?? FIRST_STATE
  const method = methodOf(catalog, spec)
  return new Reading({
    spec,
    state,
    names: namesOf(catalog, spec),
    isFullTable: method === 'FULL_TABLE',
    mayBeWhole: method === undefined && state.value === null,
    isPartial: method === 'LOG_BASED',
    context,
  })
}

export function singerStream(declared: SingerStream): Stream<SingerState> {
  const { name, tables, everyMs, priority } = declared
  return defineStream<SingerState>({
    name,
    tables,
    everyMs,
    priority,
    state: { version: 1, schema: singerState },
    sync: (context) => sync(declared, context),
    async check(context) {
      const { catalog } = await discover(await Tap.open(declared.singer.tap, context), context)
      if (catalog !== null) streamIn(catalog, declared.singer.spec)
      return []
    },
  })
}
