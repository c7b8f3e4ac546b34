/**
 * One pass: follows the source's stream, and fits the first copies of its tables into it, piece by piece.
 *
 * Invariants: rows and the position they vouch for are one checkpoint, and the slot is confirmed only after it has landed;
 * a transaction lands whole unless it is larger than a checkpoint may be; while a table is being copied a checkpoint
 * vouches only for transactions that the source's snapshots show (chunk.ts says why). After a crash everything since the
 * last checkpoint comes again.
 */
import type { Decoded } from '../capture/pgoutput.ts'
import type { FoundTable } from '../capture/watchable.ts'
import { Backoff } from '../db/backoff.ts'
import { formatLsn, parseLsn } from '../db/lsn.ts'
import type { Pool } from '../db/pool.ts'
import type { CopiedTable, CopySpec, Message, SyncContext } from '../define/index.ts'
import type { Change } from '../log/log.ts'
import { Batch } from './batch.ts'
import { applyChange } from './change.ts'
import { type ReadOptions, WATERMARK, writeMark } from './chunk.ts'
import { type Described, describe, keepsRaw } from './describe.ts'
import { Feed } from './feed.ts'
import { FirstCopy } from './first-copy.ts'
import { checkpoint, type Prepared } from './prepare.ts'
import { readSlot } from './source.ts'
import { type CopyState, isCopying, SLOT_NOTE, type SlotNote } from './state.ts'
import { SourceTypes } from './types.ts'

type CopyMessage = Message<CopyState>

/** Rows in memory at which a checkpoint is made after the next commit, and in the midst of a transaction. */
const FLUSH_ROWS = 4_000
const MOST_ROWS = 12_000
const FLUSH_BYTES = 16 * 1_048_576
const MOST_BYTES = 40 * 1_048_576
/** Log of the source that holds nothing of ours is confirmed in steps of this. */
const IDLE_STEP_BYTES = 1_048_576n
/** A pass that is not waited for ends after this, so that it is seen to run; the next goes on at once. */
const PASS_MS = 60_000
const IDLE_WAIT_MS = 1_000
const COPY_WAIT_MS = 20
/** For a message of ours, which is in the log already. */
const MARK_WAIT_MS = 100
const SLOT_FREE_MS = 10_000
const NOTE_EVERY_MS = 10_000

export class Pass {
  readonly #pool: Pool
  readonly #spec: CopySpec
  readonly #context: SyncContext<CopyState>
  readonly #found: ReadonlyMap<string, FoundTable>
  readonly #types: SourceTypes
  readonly #tables: ReadonlyMap<string, CopiedTable>
  readonly #described = new Map<string, Described>()
  #state: CopyState
  #batch: Batch
  #besides: CopyMessage[] = []
  readonly #copying: FirstCopy
  /** End of the last commit taken, or of the log while there is nothing of ours in it. */
  #taken: bigint
  /** Commits before this had landed when the pass began, and come again. */
  readonly #landedBefore: bigint
  #isInTransaction = false
  #isPhaseNew = false
  #notedMs = Number.NEGATIVE_INFINITY
  #endMark: string | null = null
  #isEndSeen = false

  constructor(pool: Pool, spec: CopySpec, context: SyncContext<CopyState>, { state, found }: Prepared) {
    this.#pool = pool
    this.#spec = spec
    this.#context = context
    this.#found = found
    this.#types = new SourceTypes(pool)
    this.#tables = new Map(spec.tables.map((copied) => [copied.from, copied]))
    this.#state = state
    this.#batch = new Batch(state.mark)
    this.#landedBefore = parseLsn(state.lsn ?? '0/0')
    this.#taken = this.#landedBefore
    this.#copying = new FirstCopy({ pool, spec, context, reading: (copied) => this.#reading(copied) })
  }

  async *run(): AsyncGenerator<CopyMessage, void, void> {
    const { url, slot, publication, tables } = this.#spec
    const { signal } = this.#context
    await this.#untilFree()
    yield* this.#flush()
    await using feed = new Feed({
      url,
      slot,
      publication,
      signal,
      confirmed: this.#landedBefore,
      values: new Map(
        tables.flatMap((copied) =>
          keepsRaw(copied) ? [] : [[copied.from, new Set(Object.keys(copied.table.columns))] as const],
        ),
      ),
    })
    const startedMs = this.#context.now()
    for (;;) {
      for (const decoded of await feed.take(this.#waitMs())) {
        yield* this.#take(decoded, feed)
      }
      if (!this.#isInTransaction) {
        const isIdle = feed.isEmpty && this.#batch.size === 0 && !this.#copying.isUnderWay
        if (isIdle && feed.sentUpTo - this.#taken >= IDLE_STEP_BYTES) this.#taken = feed.sentUpTo
        if (this.#hasNews()) yield* this.#flush(feed)
      }
      this.#moveTo(await this.#copying.next(this.#state))
      if (await this.#isOver(startedMs, feed)) return
    }
  }

  #waitMs(): number {
    if (this.#copying.isUnderWay || this.#endMark !== null) return MARK_WAIT_MS
    return isCopying(this.#state) ? COPY_WAIT_MS : IDLE_WAIT_MS
  }

  /** An earlier connection of ours may still be ending. */
  async #untilFree(): Promise<void> {
    const untilMs = this.#context.now() + SLOT_FREE_MS
    const backoff = new Backoff({ baseMs: 10, maxMs: 500 })
    while (this.#context.now() < untilMs) {
      if (((await readSlot(this.#pool, this.#spec.slot))?.activePid ?? null) === null) return
      await backoff.wait(this.#context.signal)
    }
  }

  #hasNews(): boolean {
    const hasMoved = formatLsn(this.#taken) !== this.#state.lsn
    return hasMoved || this.#isPhaseNew || this.#batch.size > 0 || this.#besides.length > 0
  }

  async #isOver(startedMs: number, feed: Feed): Promise<boolean> {
    if (isCopying(this.#state) || this.#isInTransaction || this.#hasNews()) return false
    if (!this.#context.isWaitedFor) return feed.isEmpty && this.#context.now() - startedMs > PASS_MS
    if (this.#endMark === null) {
      this.#endMark = `${this.#state.mark} end ${this.#context.random()}`
      await writeMark(this.#pool, this.#endMark)
    }
    return this.#isEndSeen
  }

  async *#take(decoded: Decoded, feed: Feed): AsyncGenerator<CopyMessage, void, void> {
    if (decoded.kind === 'relation') await this.#describe(decoded.relation)
    else if (decoded.kind === 'begin') this.#isInTransaction = true
    else if (decoded.kind === 'commit') {
      this.#isInTransaction = false
      if (decoded.endLsn > this.#taken) this.#taken = decoded.endLsn
      if (this.#batch.size >= FLUSH_ROWS || this.#batch.bytes >= FLUSH_BYTES) yield* this.#flush(feed)
    } else if (decoded.kind === 'entries') {
      for (const entry of decoded.entries) {
        if (entry.position.lsn < this.#landedBefore) continue
        if (entry.kind === 'barrier') {
          if (entry.prefix === WATERMARK) this.#arrived(entry.content)
          continue
        }
        await this.#apply(entry)
        // What the state vouches for does not move: the whole transaction would come again.
        if (this.#batch.size >= MOST_ROWS || this.#batch.bytes >= MOST_BYTES) yield* this.#flush(feed)
      }
    }
  }

  async #describe(relation: Extract<Decoded, { kind: 'relation' }>['relation']): Promise<void> {
    const copied = this.#tables.get(relation.id)
    if (copied === undefined) return
    const columns = relation.columns.map((name, at) => ({ name, oid: relation.types[at] ?? 0 }))
    this.#described.set(relation.id, describe(copied, columns, await this.#types.of(relation.types)))
    const names = await this.#types.names(relation.types)
    const fields = columns.map(({ name }, at) => ({ name, type: names[at] ?? 'unknown' }))
    this.#besides.push({ op: 'schema', table: copied.table, fields })
  }

  async #apply(change: Change): Promise<void> {
    const copied = this.#tables.get(change.table)
    const described = this.#described.get(change.table)
    if (copied === undefined || (described === undefined && change.op !== 'truncate')) return
    if (isCopying(this.#state)) this.#copying.saw(change.xid)
    const phase = this.#state.tables[copied.from]
    await applyChange(change, {
      copied,
      described: described ?? new Map(),
      batch: this.#batch,
      chunk: this.#copying.pieceOf(copied),
      isListed: phase?.phase === 'copying' && phase.isListed,
      reading: this.#reading(copied),
    })
  }

  #arrived(content: string): void {
    if (content === this.#endMark) this.#isEndSeen = true
    this.#moveTo(this.#copying.arrived(content, this.#state, this.#batch))
  }

  /** Also a piece without rows has to be noted. */
  #moveTo(state: CopyState): void {
    if (state !== this.#state) this.#isPhaseNew = true
    this.#state = state
  }

  #reading(copied: CopiedTable): ReadOptions | null {
    const found = this.#found.get(copied.from)
    return found === undefined ? null : { pool: this.#pool, types: this.#types, copied, found }
  }

  /** What the slot keeps at the source, now and then. */
  async *#noteSlot(): AsyncGenerator<CopyMessage, void, void> {
    if (this.#context.now() - this.#notedMs < NOTE_EVERY_MS) return
    this.#notedMs = this.#context.now()
    const slot = await readSlot(this.#pool, this.#spec.slot)
    if (slot === undefined) return
    const note: SlotNote = { slot: this.#spec.slot, retainedBytes: slot.retained, atMs: this.#notedMs }
    yield { op: 'remember', name: SLOT_NOTE, value: JSON.stringify(note) }
  }

  async *#flush(feed?: Feed): AsyncGenerator<CopyMessage, void, void> {
    await this.#copying.untilVisible()
    yield* this.#batch.messages()
    yield* this.#besides
    yield* this.#noteSlot()
    this.#batch = new Batch(this.#state.mark)
    this.#besides = []
    this.#isPhaseNew = false
    if (!this.#isInTransaction) this.#state = { ...this.#state, lsn: formatLsn(this.#taken) }
    yield checkpoint(this.#state)
    // Only here, where the runtime pulls again, has it landed.
    feed?.confirm(parseLsn(this.#state.lsn ?? '0/0'))
  }
}
