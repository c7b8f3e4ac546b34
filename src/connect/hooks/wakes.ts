/**
 * Reads the records that webhooks told of, by id, and lands them as any other read does.
 *
 * Invariants: a wake-up is cleared only after its record has landed and only if it was not woken again meanwhile, so a
 * crash repeats a read and loses nothing; however many events tell of a record, it is read once.
 */

import { z } from 'zod'
import { Backoff, sleep } from '../../db/backoff.ts'
import type { Pool } from '../../db/pool.ts'
import { type Connector, defineStream, type SourceRow, type Stream } from '../../define/index.ts'
import { asError } from '../../errors.ts'
import type { BudgetBook } from '../budget.ts'
import type { Landed } from '../landing.ts'
import type { RunConnectorOptions } from '../options.ts'
import { runPass } from '../pass.ts'
import { streamOf } from '../streams.ts'

const READ_AT_ONCE = 100
const EVERY_MS = 500
/** Longer than any source repeats an event. */
const SEEN_FOR = '3 days'
const FORGET_EVERY_MS = 3_600_000

interface Woken {
  readonly key: string
  readonly mark: bigint
}

async function readWoken(pool: Pool, connector: string, stream: string): Promise<readonly Woken[]> {
  const { rows } = await pool.query<{ key: string; mark: bigint }>(
    'select key, mark from rescore.wake_up where connector = $1 and stream = $2 order by mark limit $3',
    [connector, stream, READ_AT_ONCE],
  )
  return rows
}

async function clearWoken(pool: Pool, connector: string, stream: string, woken: readonly Woken[]): Promise<void> {
  await pool.query(
    `delete from rescore.wake_up w using unnest($3::text[], $4::bigint[]) as u (key, mark)
     where w.connector = $1 and w.stream = $2 and w.key = u.key and w.mark = u.mark`,
    [connector, stream, woken.map(({ key }) => key), woken.map(({ mark }) => mark)],
  )
}

/** The stream's own tables and reading, with a checkpoint that says nothing. */
function readingOf(stream: Stream, keys: readonly SourceRow[]): Stream {
  return defineStream<unknown>({
    name: stream.name,
    tables: stream.tables,
    state: { version: 1, schema: z.object({}) },
    priority: 'on-demand',
    everyMs: stream.everyMs,
    async *sync(context) {
      if (stream.read !== undefined) yield* stream.read(context, keys)
      yield { op: 'checkpoint', state: {} }
    },
  })
}

/** Reads what is awake of one stream, once. @returns what landed; null: nothing was awake */
export async function readAwake(
  options: RunConnectorOptions,
  stream: Stream,
  book: BudgetBook,
): Promise<(Landed & { readonly read: number }) | null> {
  const { pool, connector } = options
  const woken = await readWoken(pool, connector.name, stream.name)
  const key = stream.tables[0]?.key[0]
  if (woken.length === 0 || key === undefined) return null
  const rows = woken.map((one) => ({ [key]: one.key }))
  const landed = await runPass(options, readingOf(stream, rows), book, { stateName: `${stream.name} by webhook` })
  await clearWoken(pool, connector.name, stream.name, woken)
  return { ...landed, read: woken.length }
}

const readable = ({ streams }: Connector) => streams.map(streamOf).filter((stream) => stream.read !== undefined)

/** Resolves when the signal aborts. */
export async function runWakes(
  options: RunConnectorOptions & { readonly everyMs?: number },
  book: BudgetBook,
): Promise<void> {
  const { connector, pool, signal, log, everyMs = EVERY_MS } = options
  const backoff = new Backoff({ baseMs: 250, maxMs: 60_000 })
  let forgottenMs = Number.NEGATIVE_INFINITY
  while (!signal.aborted) {
    let waitMs = everyMs
    try {
      for (const stream of readable(connector)) if ((await readAwake(options, stream, book)) !== null) waitMs = 0
      if (performance.now() - forgottenMs > FORGET_EVERY_MS) {
        await pool.query(`delete from rescore.webhook_seen where connector = $1 and seen_at < now() - $2::interval`, [
          connector.name,
          SEEN_FOR,
        ])
        forgottenMs = performance.now()
      }
      backoff.reset()
    } catch (thrown) {
      if (signal.aborted) return
      waitMs = backoff.nextDelayMs()
      log.warn(
        { connector: connector.name, error: asError(thrown).message },
        'Reading what webhooks told of is repeated.',
      )
    }
    await sleep(waitMs, signal).catch(() => undefined)
  }
}
