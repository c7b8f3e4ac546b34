/**
 * Capture alone, in a process of its own: reads a slot that was filled before into a log that drops everything.
 * The log acknowledges at once, so what is measured is the socket, the decoding and the assembly of chunks.
 */
import { Capture } from '../../src/capture/capture.ts'
import { createPool } from '../../src/db/pool.ts'
import type { Chunk, Log } from '../../src/log/log.ts'
import { memoryOfSelf } from '../memory-of.ts'
import type { DrainOrder, DrainResult } from './messages.ts'
import { onOrder, tell } from './process.ts'

class DroppingLog implements Log {
  readonly #expected: number
  readonly #onAll: () => void
  #confirmable: bigint | null = null
  #xid: number | undefined
  rows = 0
  transactions = 0
  firstMs = 0
  lastMs = 0

  constructor(expected: number, onAll: () => void) {
    this.#expected = expected
    this.#onAll = onAll
  }

  async append(chunk: Chunk): Promise<void> {
    if (this.rows === 0 && chunk.entries.length > 0) this.firstMs = performance.now()
    for (const { xid } of chunk.entries) {
      if (xid !== this.#xid) this.transactions += 1
      this.#xid = xid
    }
    this.rows += chunk.entries.length
    if (chunk.commit !== null) this.#confirmable = chunk.commit.endLsn
    if (this.rows < this.#expected) return
    this.lastMs = performance.now()
    this.#onAll()
  }

  async next(): Promise<null> {
    return null
  }

  acknowledge(): void {}

  confirmableLsn(): bigint | null {
    return this.#confirmable
  }

  isIdle(): boolean {
    return true
  }

  backlog(): number {
    return 0
  }

  pendingSinceMs(): null {
    return null
  }
}

async function drain({ url, slot, publication, rows }: DrainOrder): Promise<DrainResult> {
  const done = new AbortController()
  const log = new DroppingLog(rows, () => done.abort(new Error('Everything arrived.')))
  const pool = createPool({ url, applicationName: 'rescore bench drain', max: 2 })
  await pool.query('select 1')
  const before = process.cpuUsage()
  const startedMs = performance.now()
  await new Capture({ pool, url, slot, publication, log, signal: done.signal }).run()
  const { user, system } = process.cpuUsage(before)
  await pool.end()
  return {
    ...(await memoryOfSelf()),
    rows: log.rows,
    transactions: log.transactions,
    firstToLastMs: log.lastMs - log.firstMs,
    startToLastMs: log.lastMs - startedMs,
    cpuSeconds: (user + system) / 1e6,
  }
}

onOrder<DrainOrder>(async (order) => {
  tell(await drain(order))
  process.disconnect()
})
