/**
 * Runs all deliveries beside everything else.
 *
 * Invariants: each destination goes at its own pace and fails alone; a failure of the database is backed off from and
 * tried again; nothing outlives the signal. All state is in the ledger: killing the process at any point loses nothing.
 */
import type { ConnectLog } from '../connect/options.ts'
import { Backoff, sleep } from '../db/backoff.ts'
import type { Delivery } from '../define/index.ts'
import { asError } from '../errors.ts'
import type { Faults } from '../faults.ts'
import { type Destination, type DestinationOptions, openDestination } from './destination.ts'
import { takeOverDue } from './ledger.ts'
import { runPass } from './pass.ts'

export interface RunDeliveriesOptions extends DestinationOptions {
  readonly deliveries: readonly Delivery[]
  readonly log: ConnectLog
  /** Pause between looks when nothing is due. Default 500 ms. */
  readonly everyMs?: number
  readonly faults?: Faults | undefined
}

const EVERY_MS = 500
const TAKEN_AT_ONCE = 5_000

/** Repeats `step` until the signal aborts; it says how long to wait before the next. */
async function repeatedly(
  { signal, log }: RunDeliveriesOptions,
  what: string,
  step: () => Promise<number>,
): Promise<void> {
  const backoff = new Backoff({ baseMs: 100, maxMs: 30_000 })
  while (!signal.aborted) {
    let waitMs: number
    try {
      waitMs = await step()
      backoff.reset()
    } catch (thrown) {
      if (signal.aborted) return
      log.warn({ delivery: what, error: asError(thrown).message }, 'Delivering failed and is repeated.')
      waitMs = backoff.nextDelayMs()
    }
    // Rejects only when the signal aborts, which the loop's condition sees.
    await sleep(waitMs, signal).catch(() => undefined)
  }
}

/** Prepared before the first write, and again after something failed as a whole. */
function preparedOnce(destination: Destination): Destination & { forget(): void } {
  let isPrepared = false
  return {
    ...destination,
    prepare: async () => {
      if (!isPrepared) await destination.prepare()
      isPrepared = true
    },
    forget: () => {
      isPrepared = false
    },
  }
}

function runOne(options: RunDeliveriesOptions, delivery: Delivery): Promise<void> {
  const { pool, log, clock = Date, everyMs = EVERY_MS, faults } = options
  const destination = preparedOnce(openDestination(delivery, options))
  let failures = 0
  return repeatedly(options, delivery.name, async () => {
    const now = () => clock.now()
    const result = await runPass({ pool, delivery, destination, now, failures, faults })
    failures = result.failure === null ? 0 : failures + 1
    // Refused all alike: what was prepared may be gone.
    if (result.written === 0 && result.aside > 1) destination.forget()
    if (result.failure !== null) {
      destination.forget()
      const { message } = result.failure
      log.warn({ delivery: delivery.name, error: message, waitMs: result.pauseMs }, 'A destination is paused.')
    }
    if (result.pauseMs > 0) return result.pauseMs
    return result.looked < destination.batchSize ? everyMs : 0
  })
}

/** Resolves when the signal aborts and every delivery has ended. Call `prepareDeliveries` first. */
export async function runDeliveries(options: RunDeliveriesOptions): Promise<void> {
  const { pool, deliveries, everyMs = EVERY_MS } = options
  if (deliveries.length === 0) return
  const takingOver = repeatedly(options, 'ledger', async () => {
    const taken = await takeOverDue(pool, deliveries, TAKEN_AT_ONCE)
    return taken < TAKEN_AT_ONCE ? everyMs : 0
  })
  await Promise.all([takingOver, ...deliveries.map((delivery) => runOne(options, delivery))])
}
