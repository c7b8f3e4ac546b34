/**
 * Capture into an embedded log on a real slot, for tests.
 * Invariant: disposing ends the replication connection, so that the database can be dropped.
 */
import { Capture, type CaptureOptions } from '../../src/capture/capture.ts'
import { type CaptureSetup, ensureCapture } from '../../src/capture/slot.ts'
import type { Pool } from '../../src/db/pool.ts'
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import type { Change, Entry } from '../../src/log/log.ts'
import { END_OF_TRANSACTION, type Position, START } from '../../src/log/position.ts'

export const STAGE = 'reader'

export interface Source {
  readonly pool: Pool
  readonly url: string
}

export interface RunningCapture extends AsyncDisposable {
  readonly log: EmbeddedLog
  /** Settles when capture has ended. */
  readonly done: Promise<void>
  /** The next `count` entries, acknowledged one batch at a time. */
  take(count: number): Promise<readonly Entry[]>
  /** `take`, where only changes of rows can come. */
  changes(count: number): Promise<readonly Change[]>
  stop(): Promise<void>
}

export function setupOf(name: string, tables: readonly string[]): CaptureSetup {
  return { slot: name, publication: name, tables, owned: tables }
}

export interface StartOptions extends Partial<Omit<CaptureOptions, 'pool' | 'log' | 'signal'>> {
  readonly from?: Position
  readonly maxBytes?: number
}

/** Starts on a slot that ensureCapture has made. */
export function startCapture({ pool, url }: Source, setup: CaptureSetup, options: StartOptions = {}): RunningCapture {
  const { from = START, maxBytes, ...rest } = options
  const log = new EmbeddedLog({ stages: new Map([[STAGE, from]]), ...(maxBytes === undefined ? {} : { maxBytes }) })
  const ending = new AbortController()
  const capture = new Capture({
    pool,
    url,
    slot: setup.slot,
    publication: setup.publication,
    log,
    signal: ending.signal,
    confirmEveryMs: 20,
    statusEveryMs: 50,
    ...rest,
  })
  const done = capture.run()
  // The test that expects a failure looks at `done`; all others learn of it from `take`.
  let failure: unknown
  const ended = done.catch((error: unknown) => {
    failure = error
    ending.abort(error)
  })
  const take = async (count: number) => {
    const entries: Entry[] = []
    while (entries.length < count) {
      if (failure !== undefined) throw failure
      const batch = await log.next(STAGE, { maxEntries: count - entries.length, waitMs: 20_000, signal: ending.signal })
      if (batch === null) throw new Error(`Only ${entries.length} of ${count} entries came.`)
      entries.push(...batch.entries)
      log.acknowledge(STAGE, batch.end)
    }
    return entries
  }
  const stop = async () => {
    ending.abort(new Error('The test has ended.'))
    await ended
  }
  return {
    log,
    done,
    take,
    changes: async (count) =>
      (await take(count)).map((entry) => {
        if (entry.kind !== 'change') throw new Error(`A ${entry.kind} came where a change was expected.`)
        return entry
      }),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Makes publication and slot for tables that exist, and starts. */
export async function captureTables(
  source: Source & { readonly name: string },
  tables: readonly string[],
  options: StartOptions = {},
): Promise<RunningCapture & { readonly setup: CaptureSetup }> {
  const setup = setupOf(source.name, tables)
  await ensureCapture(source.pool, setup)
  return { ...startCapture(source, setup, options), setup }
}

export function endOf(entry: Entry): Position {
  return { lsn: entry.position.lsn, index: END_OF_TRANSACTION }
}
