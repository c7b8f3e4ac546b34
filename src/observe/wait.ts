/**
 * Waits until everything committed before the call is in the classifications.
 *
 * Invariants: no sleeping and no polling: a barrier message in the write-ahead log makes every stage commit its reflected
 * position, and each such commit notifies. LISTEN comes before the first look, so no notification can fall between. Who
 * waits before there is anybody to wait for is heard all the same: a slot that is there keeps the barrier, and whoever
 * makes one sends a barrier behind it.
 */
import { randomUUID } from 'node:crypto'
import { formatLsn, parseLsn } from '../db/lsn.ts'
import { createClient, type Queryable } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { BARRIER_PREFIX, WHOLE } from '../log/log.ts'

export interface WaitResult {
  /** Everything committed before this LSN is reflected. */
  readonly lsn: string
  readonly ms: number
}

export interface WaitOptions {
  readonly url: string
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** @throws RescoreError CLI_WAIT_TIMEOUT, CLI_NO_STAGES; the signal's reason when it aborts */
export async function waitUntilReflected({ url, timeoutMs, signal }: WaitOptions): Promise<WaitResult> {
  const startedMs = performance.now()
  const client = createClient({ url, applicationName: 'rescore wait' })
  const gate = new Gate()
  client.on('notification', () => gate.open())
  client.on('error', (error) => gate.fail(error))
  const deadline = AbortSignal.timeout(timeoutMs)
  const stop = AbortSignal.any([signal, deadline])
  stop.addEventListener('abort', () => gate.open(), { once: true })
  await client.connect()
  try {
    await client.query('listen rescore_reflected')
    const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    const target = parseLsn(rows[0]?.lsn ?? '0/0')
    await client.query('select pg_logical_emit_message(true, $1, $2)', [BARRIER_PREFIX, randomUUID()])
    for (;;) {
      const reflected = await readReflected(client)
      const behind = [...reflected].filter(([, lsn]) => lsn < target)
      if (reflected.size > 0 && behind.length === 0) {
        return { lsn: formatLsn(target), ms: performance.now() - startedMs }
      }
      signal.throwIfAborted()
      if (deadline.aborted) throw reflected.size === 0 ? noStages(timeoutMs) : timedOut(timeoutMs, target, behind)
      await gate.passed()
    }
  } finally {
    await client.end()
  }
}

/** By stage; empty while none has ever run, on a database without our tables, too. */
async function readReflected(client: Queryable): Promise<ReadonlyMap<string, bigint>> {
  const { rows: tables } = await client.query<{ is_there: boolean }>(
    `select to_regclass('rescore.stage_position') is not null as is_there`,
  )
  if (tables[0]?.is_there !== true) return new Map()
  const { rows } = await client.query<{ stage: string; reflected: string }>(
    'select stage, reflected_lsn::text as reflected from rescore.stage_position where topic = $1',
    [WHOLE.topic],
  )
  return new Map(rows.map(({ stage, reflected }) => [stage, parseLsn(reflected)]))
}

/** Opened by each notification; one that comes while nobody waits is kept. */
class Gate {
  #isOpen = false
  #failure: Error | null = null
  #wake: (() => void) | null = null

  open(): void {
    this.#isOpen = true
    this.#wake?.()
  }

  fail(error: Error): void {
    this.#failure = error
    this.open()
  }

  async passed(): Promise<void> {
    if (!this.#isOpen) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#isOpen = false
    this.#wake = null
    if (this.#failure !== null) throw this.#failure
  }
}

function noStages(timeoutMs: number): RescoreError {
  return new RescoreError({
    code: 'CLI_NO_STAGES',
    fate: 'stop',
    message: `No stage has ever run on this database, and none came within ${timeoutMs / 1000} s, so nothing is reflected.`,
    mend: 'Start the service: rescore start (or rescore dev).',
  })
}

function timedOut(timeoutMs: number, target: bigint, behind: readonly (readonly [string, bigint])[]): RescoreError {
  const where = behind.map(([stage, lsn]) => `${stage} at ${formatLsn(lsn)}`)
  return new RescoreError({
    code: 'CLI_WAIT_TIMEOUT',
    fate: 'stop',
    message: `Not reflected up to ${formatLsn(target)} within ${timeoutMs / 1000} s: ${where.join(', ')}.`,
    mend: 'See `rescore status` for what holds it up; wait longer with --timeout 5m.',
  })
}
