/**
 * Handles the records of one partition for one stage: what is new of them is decoded, applied and passed, in one
 * transaction.
 *
 * Invariants. New is what stands after the stored position, however the records got here: replays, offsets set back and
 * transactions published twice are passed over before they are decoded. The position moves by compare-and-set; after any
 * failure it is read again, so a commit whose answer was lost is found, and a partition that another worker has moved is
 * seen. A partition vouches for everything before the transaction of its last record: capture publishes in the order of
 * commits, so nothing earlier can follow, but more of that transaction can. Where applying followed paths in a snapshot,
 * that is withheld until every partition has passed the snapshot (positions-reflected.ts). None of this holds of records
 * that another program writes: those vouch for nothing here (connect-progress.ts).
 */
import { type Client, type Pool, withTransaction } from '../../db/pool.ts'
import { isRescoreError, type RescoreError } from '../../errors.ts'
import { type Faults, isPlanted } from '../../faults.ts'
import type { Clock } from '../clock.ts'
import type { Change, Entry, Source } from '../log.ts'
import { comparePositions, type Position } from '../position.ts'
import type { Report, Stage } from '../stage.ts'
import { inVisibleSnapshot } from '../visibility.ts'
import { keyTexts } from './consume-record.ts'
import { batchOf, firstLsn, saidBy, type Taken, withhold } from './consume-taken.ts'
import { decodeRecord, type KafkaRecord, type KindOf, positionOf, sourceLsn } from './decode.ts'
import {
  keepAside,
  movePartition,
  type PartitionPosition,
  readPartition,
  readWalLsn,
  type Withheld,
  wantSweep,
} from './positions.ts'

/** More are merged into the newest: what is vouched for then waits longer, and still gets its turn. */

export interface PartitionOptions<Work> {
  readonly pool: Pool
  /** Its name. */
  readonly stage: string
  readonly source: Source
  /** `schema.name` of the topic's table. */
  readonly table: string
  readonly kindOf: KindOf
  /** Who writes the topic. Another program's records are told apart by their offsets alone, and vouch for nothing. */
  readonly writer: 'rescore' | 'debezium'
  readonly owner: string
  readonly report: Report
  readonly visibleWithinMs?: number
  readonly faults?: Faults
  readonly clock?: Clock | undefined
  /** Everything every partition has handled, as far as this process has heard: what was withheld until then no longer is. */
  leastHandled(): bigint
  /** Told after each commit. */
  onMoved(isChanged: boolean): void
  /** A stage of one's own for the time of a batch: applying is not for two at once. */
  withStage<T>(work: (stage: Stage<Work>) => Promise<T>): Promise<T>
}

export class PartitionRunner<Work> {
  readonly #options: PartitionOptions<Work>
  /** As this process left it; null: to be read. */
  #stored: PartitionPosition | null = null

  constructor(options: PartitionOptions<Work>) {
    this.#options = options
  }

  async stored(): Promise<PartitionPosition> {
    const { pool, source, stage } = this.#options
    this.#stored ??= await readPartition(pool, stage, source)
    return this.#stored
  }

  /** Another process may have moved it since. */
  forget(): void {
    this.#stored = null
  }

  /** Resolves once everything of the records is committed. @throws what is worth repeating or not, by its fate */
  async handle(records: readonly KafkaRecord[], signal: AbortSignal): Promise<void> {
    const stored = await this.stored()
    const taken = this.#take(records, stored)
    if (taken === null) return
    try {
      await this.#options.withStage((stage) => this.#apply(stage, taken, stored, signal))
    } catch (error) {
      this.forget()
      throw error
    }
  }

  /** Null when nothing of the records is new. */
  #take(records: readonly KafkaRecord[], stored: PartitionPosition): Taken | null {
    const entries: Entry[] = []
    const letters: { record: KafkaRecord; error: RescoreError }[] = []
    let end = stored.position
    let last: KafkaRecord | null = null
    for (const record of records) {
      // Its position may be of another history of the database (beginning.ts).
      if (record.offset < stored.beginOffset) continue
      let position: Position | null = placeBehind(end, record)
      try {
        position = newPosition(record, end, stored.nextOffset)
        const entry = position === null ? null : decodeRecord(record, position, this.#options.kindOf)
        if (entry !== null) entries.push(entry)
      } catch (error) {
        if (!isDeadLetter(error)) throw error
        // Its header may be what is wrong: then only its offset tells whether it was handled before.
        if (record.offset < stored.nextOffset || position === null) continue
        letters.push({ record, error })
        entries.push(...this.#unknownChange(record, position))
      }
      if (position === null) continue
      last = record
      end = position
    }
    if (last === null) return null
    const lastAtMs = entries.at(-1)?.committedAtMs ?? last.timestampMs
    return { entries, letters, end, nextOffset: last.offset + 1n, lastAtMs }
  }

  /** Which row it was may be lost: then everything that reads the table is stale, and the key, if it has one, changed. */
  #unknownChange({ key, timestampMs }: KafkaRecord, position: Position): readonly Change[] {
    const { table } = this.#options
    const change: Change = {
      kind: 'change',
      position,
      xid: 0,
      committedAtMs: timestampMs,
      table,
      op: 'truncate',
      before: null,
      after: null,
      changed: null,
    }
    const texts = keyTexts(key)
    return texts === null ? [change] : [change, { ...change, op: 'update', after: texts }]
  }

  async #apply(stage: Stage<Work>, taken: Taken, stored: PartitionPosition, signal: AbortSignal): Promise<void> {
    const { pool, source, report, faults, visibleWithinMs, clock } = this.#options
    const startedMs = performance.now()
    const batch = batchOf(taken, source)
    const work = taken.entries.length === 0 ? null : stage.plan(batch)
    const isChanged = taken.entries.some((entry) => entry.kind === 'change')
    // Where Debezium writes, connect-progress.ts says it; and every record is passed, since it is held against the end.
    const isTheirs = this.#options.writer === 'debezium'
    const said = isTheirs ? null : saidBy(stage, taken)
    // A hop of somebody else's, and tombstones: not worth a row written, or each write would cause the next for ever.
    if (!isTheirs && work === null && !isChanged && taken.letters.length === 0 && said === null) return
    const { settings, isTimed } = stage
    const snapshot = { pool, signal, isShared: true, settings, visibleWithinMs, isTimed, clock }
    let withheld: readonly Withheld[] = stored.withheld.filter(
      ({ untilLsn }) => untilLsn > this.#options.leastHandled(),
    )
    const move = (client: Client, from: Position) =>
      movePartition(client, stage.name, source, {
        from,
        to: taken.end,
        nextOffset: taken.nextOffset,
        reflected: said,
        withheld,
        owner: this.#options.owner,
        lagSeconds: Math.max(0, (Date.now() - taken.lastAtMs) / 1_000),
      })
    const isEarly = isPlanted('position-before-effects')
    if (isEarly) await withTransaction(pool, {}, (client) => move(client, stored.position))
    await inVisibleSnapshot(snapshot, batch.xids, async (context) => {
      await stage.admit?.(context)
      await faults?.hit(`${stage.name}:before-apply`)
      if (work !== null) {
        await stage.apply(work, context)
        if (stage.looksBeyond?.(work) === true) {
          // What another program says of positions is not relied on: then nothing more at all is vouched for until then.
          const fromLsn = isTheirs ? this.#options.leastHandled() + 1n : firstLsn(taken)
          withheld = withhold(withheld, fromLsn, await readWalLsn(context.client))
        }
      }
      if (stage.sweepNeeded?.() === true && work !== null) await wantSweep(context.client, stage.name)
      if (taken.letters.length > 0) await keepAside(context.client, stage.name, source, taken.letters)
      await faults?.hit(`${stage.name}:after-apply`)
      await move(context.client, isEarly ? taken.end : stored.position)
      await faults?.hit(`${stage.name}:before-commit`)
    })
    await faults?.hit(`${stage.name}:after-commit`)
    const reflectedLsn = said !== null && said.lsn > stored.reflectedLsn ? said.lsn : stored.reflectedLsn
    this.#stored = { ...stored, position: taken.end, nextOffset: taken.nextOffset, reflectedLsn, withheld }
    if (work !== null) stage.committed?.(work)
    for (const { error } of taken.letters) {
      report({ type: 'failed', stage: stage.name, code: error.code, message: error.message })
    }
    report({ type: 'batch', stage: stage.name, entries: taken.entries.length, ms: performance.now() - startedMs })
    this.#options.onMoved(isChanged)
  }
}

function isDeadLetter(error: unknown): error is RescoreError {
  return isRescoreError(error) && error.fate === 'dead-letter'
}

/** For a record without our header: behind the one before, at its own LSN where that is further. */
function placeBehind(after: Position, record: KafkaRecord): Position {
  const lsn = sourceLsn(record)
  return lsn > after.lsn ? { lsn, index: 0 } : { lsn: after.lsn, index: after.index + 1 }
}

/** Null for what was handled before. Records of another program are told apart by their offsets alone. */
function newPosition(record: KafkaRecord, after: Position, nextOffset: bigint): Position | null {
  const position = positionOf(record)
  if (position !== null) return comparePositions(position, after) > 0 ? position : null
  return record.offset >= nextOffset ? placeBehind(after, record) : null
}
