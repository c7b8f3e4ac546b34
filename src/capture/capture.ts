/**
 * Capture into a log of this process: decodes what the slot sends and hands it to the log, at the pace the log takes it.
 *
 * Invariants: what is told to the slot is the log's word (src/capture/replicate.ts has the rule); what a new connection
 * sends again and the log has already is passed over. After a crash the server sends again everything not confirmed.
 */
import type { ValueColumns } from '../graph/value-columns.ts'
import type { Chunk, Log } from '../log/log.ts'
import { comparePositions, type Position, START } from '../log/position.ts'
import { Assembler } from './assembler.ts'
import { PgoutputDecoder } from './pgoutput.ts'
import { type Intake, Replication, type SlotOptions, type Valve } from './replicate.ts'

/** Decoded but not yet in the log: beyond this the socket is paused. */
const MAX_PENDING_BYTES = 8 * 1_048_576

export interface CaptureOptions extends SlotOptions {
  readonly log: Log
  /** The columns whose values are put into the log, by table; a table that is not in it is taken whole. */
  readonly values?: ValueColumns
}

/** What belongs to one connection and ends with it. */
class LogIntake implements Intake {
  readonly #log: Log
  readonly #append: (chunk: Chunk, signal: AbortSignal) => Promise<void>
  readonly #valve: Valve
  readonly #decoder: PgoutputDecoder
  readonly #assembler = new Assembler()
  /** Resolves when a message has arrived. */
  #wake = Promise.withResolvers<void>()
  receivedLsn = 0n

  constructor(
    { log, values }: CaptureOptions,
    append: (chunk: Chunk, signal: AbortSignal) => Promise<void>,
    valve: Valve,
  ) {
    this.#log = log
    this.#decoder = new PgoutputDecoder(values)
    this.#append = append
    this.#valve = valve
  }

  take(message: Buffer): void {
    const decoded = this.#decoder.decode(message)
    if (decoded.kind === 'commit') this.receivedLsn = decoded.endLsn
    this.#assembler.add(decoded)
    if (this.#assembler.pendingBytes > MAX_PENDING_BYTES) this.#valve.pause()
    this.#wake.resolve()
  }

  /** Received messages into the log. */
  async work(over: AbortSignal): Promise<void> {
    const onOver = () => this.#wake.resolve()
    over.addEventListener('abort', onOver, { once: true })
    while (!over.aborted) {
      await this.#wake.promise
      this.#wake = Promise.withResolvers<void>()
      for (let chunk = this.#assembler.take(); chunk !== undefined && !over.aborted; chunk = this.#assembler.take()) {
        await this.#append(chunk, over)
        this.#assembler.handedOver(chunk)
        if (this.#assembler.pendingBytes < MAX_PENDING_BYTES / 2) this.#valve.resume()
      }
    }
  }

  finishedLsn(): bigint {
    return this.#log.confirmableLsn() ?? 0n
  }

  isIdle(): boolean {
    return this.#log.isIdle() && !this.#decoder.isInTransaction && this.#assembler.isEmpty
  }
}

export class Capture {
  readonly #options: CaptureOptions
  readonly #replication: Replication
  /** The last thing the log took: what a new connection sends again up to here is passed over. */
  #appended: Position = START

  constructor(options: CaptureOptions) {
    this.#options = options
    const append = (chunk: Chunk, signal: AbortSignal) => this.#append(chunk, signal)
    this.#replication = new Replication(options, (valve) => new LogIntake(options, append, valve))
  }

  /** Runs until the signal aborts; connects again after any failure worth it. @throws errors of fate `stop` */
  run(): Promise<void> {
    return this.#replication.run()
  }

  async #append(chunk: Chunk, signal: AbortSignal): Promise<void> {
    const { log, faults } = this.#options
    // A new connection sends whole transactions again; the log has them up to #appended already.
    const entries = chunk.entries.filter((entry) => comparePositions(entry.position, this.#appended) > 0)
    if (entries.length === 0 && comparePositions(chunk.end, this.#appended) <= 0) return
    await faults?.hit('before-append')
    await log.append({ ...chunk, entries }, signal)
    this.#appended = chunk.end
    await faults?.hit('after-append')
  }
}
