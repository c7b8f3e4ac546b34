/**
 * The first copies of tables, one piece under way at a time: which piece is next, and where in the stream it belongs.
 *
 * Invariants: a table that joins is read only once every transaction that was open when it was published has ended, because
 * their changes may be in no stream; while a table is being copied nothing is vouched for that a new snapshot of the source
 * does not show. After a crash a table goes on from the last piece that was landed.
 */
import { Backoff } from '../db/backoff.ts'
import type { Pool } from '../db/pool.ts'
import type { CopiedTable, CopySpec, SyncContext } from '../define/index.ts'
import { isPlanted } from '../faults.ts'
import type { Batch } from './batch.ts'
import { areAllVisible, CHUNK_BYTES, type Chunk, type ReadOptions, readChunk } from './chunk.ts'
import type { CopyState, Phase } from './state.ts'

export interface FirstCopyOptions {
  readonly pool: Pool
  readonly spec: CopySpec
  readonly context: SyncContext<CopyState>
  /** null: not examined, because it is not there. */
  readonly reading: (copied: CopiedTable) => ReadOptions | null
}

function withPhase(state: CopyState, from: string, phase: Phase): CopyState {
  return { ...state, tables: { ...state.tables, [from]: phase } }
}

export class FirstCopy {
  readonly #options: FirstCopyOptions
  #chunk: Chunk | null = null
  #chunks = 0
  #limit: number
  /** Of transactions taken and not known to be visible at the source, 32 bits each. */
  #xids: number[] = []
  #isWaitTold = false

  constructor(options: FirstCopyOptions) {
    this.#options = options
    this.#limit = options.spec.chunkRows
  }

  get isUnderWay(): boolean {
    return this.#chunk !== null
  }

  /** The piece under way, if it is of this table. */
  pieceOf(copied: CopiedTable): Chunk | null {
    return this.#chunk?.copied === copied ? this.#chunk : null
  }

  /** Changes of this transaction have been taken while something is being copied. */
  saw(xid: number): void {
    if (this.#xids.at(-1) !== xid) this.#xids.push(xid)
  }

  /** Until every transaction taken is one that a new snapshot of the source shows. */
  async untilVisible(): Promise<void> {
    if (this.#xids.length === 0) return
    const { pool, context } = this.#options
    const backoff = new Backoff({ baseMs: 2, maxMs: 200 })
    while (!(await areAllVisible(pool, this.#xids))) await backoff.wait(context.signal)
    this.#xids = []
  }

  /** Begins the next piece, if there is one and nothing is in its way. */
  async next(state: CopyState): Promise<CopyState> {
    const { spec } = this.#options
    const copied = spec.tables.find(({ from }) => state.tables[from]?.phase !== 'following')
    const reading = copied === undefined ? null : this.#options.reading(copied)
    if (this.#chunk !== null || copied === undefined || reading === null) return state
    const before = state.tables[copied.from]
    const phase = before?.phase === 'waiting' ? await this.#begin(copied, before.below) : before
    if (phase?.phase !== 'copying') return state
    const { mark } = state
    this.#chunks += 1
    const id = `${mark} ${this.#options.context.random()} ${this.#chunks}`
    this.#chunk = await readChunk(reading, this.#xids, phase.after, this.#limit, id)
    if (this.#chunk !== null) this.#limit = this.#nextLimit(this.#chunk)
    return phase === before ? state : withPhase(state, copied.from, phase)
  }

  /** As many rows as the size of those just read says. */
  #nextLimit({ bytes }: Chunk): number {
    const fitting = bytes === 0 ? Number.POSITIVE_INFINITY : Math.floor((this.#limit * CHUNK_BYTES) / bytes)
    return Math.max(1, Math.min(this.#options.spec.chunkRows, fitting))
  }

  /** null: transactions that were open are still open. */
  async #begin(copied: CopiedTable, below: string): Promise<Phase | null> {
    const { pool, context } = this.#options
    if (!(await areAllVisible(pool, this.#xids, BigInt(below)))) {
      if (!this.#isWaitTold) {
        context.log.info({ table: copied.from }, 'The copy waits for transactions that were open at the source.')
      }
      this.#isWaitTold = true
      return null
    }
    const [column] = copied.table.key
    const there = await context.due({ table: copied.table, column: column ?? '', limit: 1 })
    return { phase: 'copying', after: null, rows: 0, isListed: there.length > 0 }
  }

  /** The message `content` came by: what was read before it, and is as it was or was brought up to here, belongs here. */
  arrived(content: string, state: CopyState, batch: Batch): CopyState {
    const chunk = this.#chunk
    if (chunk === null || chunk.id !== content) return state
    this.#chunk = null
    const { copied, isLast, last } = chunk
    const phase = state.tables[copied.from]
    if (phase?.phase !== 'copying') return state
    for (const row of chunk.rows.values()) batch.whole(copied, row, phase.isListed)
    if (isLast && phase.isListed && !isPlanted('copy-deletes-forgotten')) batch.listingWhole(copied)
    const rows = phase.rows + chunk.rows.size
    return withPhase(
      state,
      copied.from,
      isLast ? { phase: 'following', rows } : { ...phase, after: [...(last ?? [])], rows },
    )
  }
}
