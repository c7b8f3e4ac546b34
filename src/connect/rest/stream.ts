/**
 * A declared stream, run: its list, then its feed, or its lookups.
 * Invariant: a stream in code like any other; what it knows it keeps in its state and its memory, nothing in the module.
 */
import {
  defineStream,
  type Message,
  type RestSpec,
  type RestStream,
  type Stream,
  type SyncContext,
} from '../../define/index.ts'
import { followFeed } from './feed.ts'
import { readList } from './list.ts'
import { lookUp, lookUpDue } from './lookup.ts'
import { readRecords } from './records.ts'
import { FIRST_STATE, type RestState, restState } from './state.ts'

async function* sync(spec: RestSpec, context: SyncContext<RestState>): AsyncGenerator<Message<RestState>, void, void> {
  const { list, feed, lookup } = spec
  const isFirst = context.state === null
  let state = context.state ?? FIRST_STATE
  if (lookup !== undefined) {
    for await (const message of lookUpDue(spec, lookup, context, false)) {
      if ('op' in message) {
        yield message
        continue
      }
      state = { ...state, looked: state.looked + message.batch }
      yield { op: 'checkpoint', state, done: state.looked }
    }
    return
  }
  if (list !== undefined) state = yield* readList(spec, list, context, state, isFirst)
  if (feed !== undefined) yield* followFeed(spec, feed, context, state)
}

export function restStream(declared: RestStream): Stream<RestState> {
  const { name, tables, everyMs, priority, rest: spec } = declared
  const { lookup, one, many, list } = spec
  const column = spec.table.key[0] ?? ''
  const canRead = lookup !== undefined || one !== undefined || many !== undefined
  return defineStream<RestState>({
    name,
    tables,
    everyMs,
    priority,
    state: { version: 1, schema: restState },
    sync: (context) => sync(spec, context),
    ...(canRead
      ? {
          async *read(context, keys) {
            const ids = keys.map((key) => String(key[column] ?? ''))
            if (lookup === undefined) yield* readRecords(spec, context, ids, true)
            else yield* lookUp(spec, lookup, context, ids, true)
          },
        }
      : {}),
    ...(list?.changed === undefined
      ? {}
      : {
          stateSince: (ms: number) => ({ ...FIRST_STATE, fromMs: ms, sweptMs: Number.MAX_SAFE_INTEGER, sinceMs: ms }),
        }),
  })
}
