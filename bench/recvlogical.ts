/**
 * `pg_recvlogical` into a pipe: PostgreSQL's own client, which hands on the raw stream, is the ceiling of one slot.
 * Invariant: the program and what reads its pipe are gone when this settles.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { sleep } from '../src/db/backoff.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import type { Skipped } from './measurement.ts'
import { type ProcessUse, useOf } from './process-use.ts'
import { perSecond, round } from './statistics.ts'

const run = promisify(execFile)
const PROGRAM = 'pg_recvlogical'
const LOOK_EVERY_MS = 20

export interface Ceiling {
  readonly rowsPerSecond: number
  /** From where `warm` is; null when that was not asked or not seen. */
  readonly rowsPerSecondFromWarm: number | null
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakRssMb: number
}

export interface RecvOrder {
  readonly slot: string
  readonly publication: string
  readonly rows: number
  /** Behind the last row. One more transaction must follow it, at which the program sees that it is done. */
  readonly endLsn: string
  /** A place in the stream, and how many rows follow it. */
  readonly warm?: { readonly lsn: string; readonly rows: number }
}

export async function drainByRecvlogical(
  { server, signal }: BenchContext,
  { name, pool }: BenchDatabase,
  { slot, publication, rows, endLsn, warm }: RecvOrder,
): Promise<Ceiling | Skipped> {
  const version = await run(PROGRAM, ['--version']).catch(() => null)
  if (version === null) return { skipped: `${PROGRAM} is not on the PATH; the embedded PostgreSQL brings none.` }
  const { password } = new URL(server.url)
  const where = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres', '-d', name]
  const stream = ['-o', 'proto_version=1', '-o', `publication_names=${publication}`, '-o', 'messages=true']
  const reader = spawn('cat', [], { stdio: ['pipe', 'ignore', 'inherit'] })
  const startedMs = performance.now()
  const flags = [...where, '-S', slot, '--start', '--no-loop', '-f', '-', ...stream, '--endpos', endLsn]
  const child = spawn(PROGRAM, flags, {
    stdio: ['ignore', reader.stdin, 'inherit'],
    env: { ...process.env, PGPASSWORD: decodeURIComponent(password) },
    signal,
  })
  const ended = Promise.all([exitOf(child, PROGRAM), once(child, 'close')]).then(() => performance.now())
  ended.catch(() => undefined)
  reader.stdin.destroy()
  let use: ProcessUse = { cpuSeconds: 0, peakRssMb: 0 }
  let warmMs: number | null = null
  while (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    // It may have ended since.
    use = await useOf(child.pid).catch(() => use)
    if (warm !== undefined && warmMs === null) {
      const { rows: sent } = await pool.query(
        `select from pg_stat_replication join pg_replication_slots on active_pid = pid
         where slot_name = $1 and sent_lsn >= $2`,
        [slot, warm.lsn],
      )
      if (sent.length > 0) warmMs = performance.now()
    }
    await sleep(LOOK_EVERY_MS, signal)
  }
  const endedMs = await ended
  return {
    rowsPerSecond: perSecond(rows, endedMs - startedMs),
    rowsPerSecondFromWarm: warm === undefined || warmMs === null ? null : perSecond(warm.rows, endedMs - warmMs),
    seconds: round((endedMs - startedMs) / 1000, 2),
    cpuSeconds: round(use.cpuSeconds, 2),
    peakRssMb: use.peakRssMb,
  }
}

async function exitOf(child: ChildProcess, name: string): Promise<void> {
  const [code, by]: unknown[] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${name} ended with ${by ?? `code ${code}`}.`)
}
