/**
 * A declared copy, run: a stream like any other, whose state is all it knows.
 * Invariant: nothing of the source's URL gets into an error or a log line; connections end with the pass,
 * and at once when it is aborted.
 */
import { identify } from '../capture/identity.ts'
import { createPool, type Pool } from '../db/pool.ts'
import type { ConnectorProblem, CopySpec, CopyStream, SourceContext, Stream, SyncContext } from '../define/index.ts'
import { asSourceError } from './error.ts'
import { examineSource } from './examine.ts'
import { Pass } from './pass.ts'
import { prepare } from './prepare.ts'
import { readSlot } from './source.ts'
import { type CopyState, copyState } from './state.ts'

const RETAINED_WARNING_BYTES = 1_073_741_824

/** @throws SourceError */
async function withSource<T>(spec: CopySpec, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = createPool({ url: spec.url, applicationName: 'rescore copy', max: 2, answerWithinMs: 15_000 })
  try {
    return await work(pool)
  } catch (error) {
    throw asSourceError(error, whereOf(spec))
  } finally {
    await pool.end()
  }
}

function whereOf({ url, slot }: CopySpec): string {
  return URL.canParse(url) ? `${new URL(url).host}${new URL(url).pathname}` : slot
}

async function* sync(spec: CopySpec, context: SyncContext<CopyState>) {
  const { signal, log } = context
  const onError = (error: Error) => {
    if (!signal.aborted) log.warn({ error: error.message }, 'A connection to the source was lost.')
  }
  const pool = createPool({ url: spec.url, applicationName: 'rescore copy', max: 3, onError, signal })
  try {
    const prepared = yield* prepare(pool, spec, context)
    yield* new Pass(pool, spec, context, prepared).run()
  } catch (error) {
    throw asSourceError(error, whereOf(spec))
  } finally {
    await pool.end()
  }
}

/** What the slot does to the source: nothing keeps the copy from being made, and the source's disk may still fill up. */
async function slotProblems(pool: Pool, spec: CopySpec): Promise<readonly ConnectorProblem[]> {
  const slot = await readSlot(pool, spec.slot)
  const problems: ConnectorProblem[] = []
  const tell = (message: string, mend: string) => problems.push({ code: 'COPY_SLOT', message, mend, isBlocking: false })
  const { rows } = await pool.query<{ keep: string }>(`select current_setting('max_slot_wal_keep_size') as keep`)
  if (rows[0]?.keep === '-1') {
    tell(
      'max_slot_wal_keep_size of the source is unlimited: a copy that stays away fills its disk.',
      "At the source: alter system set max_slot_wal_keep_size = '8GB'; select pg_reload_conf();",
    )
  }
  if (slot === undefined) return problems
  if (slot.isLost) tell(`The slot '${spec.slot}' was invalidated.`, 'Everything is copied anew when it runs next.')
  if (slot.retained > RETAINED_WARNING_BYTES) {
    const gigabytes = (slot.retained / RETAINED_WARNING_BYTES).toFixed(1)
    const unread = slot.activePid === null ? ' and nothing reads it' : ''
    const mend = `rescore start; or, if it is not wanted any more, at the source: select pg_drop_replication_slot('${spec.slot}');`
    tell(`The slot '${spec.slot}' holds back ${gigabytes} GiB of the source's WAL${unread}.`, mend)
  }
  return problems
}

async function check(spec: CopySpec, _context: SourceContext): Promise<readonly ConnectorProblem[]> {
  return withSource(spec, async (pool) => {
    await identify(pool)
    const { problems } = await examineSource(pool, spec)
    return [...problems, ...(await slotProblems(pool, spec))]
  })
}

export function copyStream(declared: CopyStream): Stream<CopyState> {
  const { name, tables, everyMs, priority, copy: spec } = declared
  return {
    name,
    tables,
    everyMs,
    priority,
    isConsuming: true,
    state: { version: 1, schema: copyState },
    check: (context) => check(spec, context),
    sync: (context) => sync(spec, context),
  }
}
