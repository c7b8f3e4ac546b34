/**
 * A stream read on demand: once as it goes, from the start, since a time, or only some records.
 *
 * Invariants: what is read besides the stream's own run keeps a checkpoint of its own (`companies#full`), so the stream's
 * never moves by it; stopped or killed, it goes on from there when asked again; a dry run writes nothing at all.
 */
import type { AnyStream, Message, SourceRow } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import type { BudgetBook } from './budget.ts'
import { readContext } from './context.ts'
import { fitMessage } from './fit.ts'
import { type Landable, type Landed, land } from './landing.ts'
import type { RunConnectorOptions } from './options.ts'
import { runPass } from './pass.ts'
import { streamOf } from './streams.ts'

export type SyncExtent =
  /** What a run of the service would read next. */
  | { readonly kind: 'next' }
  | { readonly kind: 'full' }
  | { readonly kind: 'since'; readonly ms: number }
  | { readonly kind: 'keys'; readonly keys: readonly SourceRow[] }

const BATCH = 500

function cannot(connector: string, stream: string, what: string, mend: string): RescoreError {
  return new RescoreError({
    code: 'CONNECT_CANNOT_READ',
    fate: 'stop',
    message: `Stream ${connector}/${stream} cannot be read ${what}.`,
    mend,
    context: { connector, stream },
  })
}

/** @throws RescoreError CONNECT_CANNOT_READ when the stream has no way to read by key */
export async function readKeys(
  options: RunConnectorOptions,
  declared: AnyStream,
  book: BudgetBook,
  keys: readonly SourceRow[],
  dry = false,
): Promise<Landed> {
  const { connector, pool } = options
  const stream = streamOf(declared)
  if (stream.read === undefined) throw cannot(connector.name, stream.name, 'by key', 'Read all of it: --full.')
  const identity = { connector: connector.name, stream: stream.name, stateVersion: stream.state.version }
  const context = readContext(options, book, stream.name, 'on-demand')
  const warn = (misfit: { field: string }) => context.log.warn({ field: misfit.field }, 'A value found no column.')
  let written = 0
  let rejected = 0
  let buffer: Landable[] = []
  const flush = async () => {
    const landed = await land(pool, identity, buffer, null, { dry })
    written += landed.written
    rejected += landed.rejected
    buffer = []
  }
  for await (const message of stream.read(context, keys)) {
    options.signal.throwIfAborted()
    const each: Message<unknown> = message
    if (each.op === 'checkpoint') continue
    buffer.push(fitMessage(each, warn))
    if (buffer.length >= BATCH) await flush()
  }
  await flush()
  return { written, rejected }
}

/** @throws RescoreError CONNECT_CANNOT_READ when the stream cannot be read to this extent */
export async function syncStream(
  options: RunConnectorOptions,
  declared: AnyStream,
  book: BudgetBook,
  extent: SyncExtent,
  dry = false,
): Promise<Landed> {
  const { connector, pool } = options
  if (extent.kind === 'keys') return readKeys(options, declared, book, extent.keys, dry)
  const stream = streamOf(declared)
  if (stream.isConsuming === true && (dry || extent.kind !== 'next')) {
    throw cannot(
      connector.name,
      stream.name,
      'besides its own run',
      'Read what is next; to read all of it anew, drop its replication slot at the source.',
    )
  }
  if (extent.kind === 'next') {
    return runPass(options, declared, book, { dry, priority: 'on-demand', isWaitedFor: true })
  }
  if (extent.kind === 'since' && stream.stateSince === undefined) {
    throw cannot(connector.name, stream.name, 'since a time', 'Read all of it: --full.')
  }
  const stateName = `${stream.name}#${extent.kind}`
  const startState = extent.kind === 'since' ? stream.stateSince?.(extent.ms) : (stream.stateFull?.() ?? null)
  const landed = await runPass(options, declared, book, {
    dry,
    stateName,
    startState,
    priority: 'backfill',
    isWaitedFor: true,
  })
  // Whole: the next one begins anew.
  if (!dry) {
    await pool.query('delete from rescore.connector_state where connector = $1 and stream = $2', [
      connector.name,
      stateName,
    ])
  }
  return landed
}
