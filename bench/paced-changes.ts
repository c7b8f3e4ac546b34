/**
 * Changes at a pace that does not wait for their answers (open loop), so that a slow moment is met by as many changes as
 * it would be in life.
 */
import { sleep } from '../src/db/backoff.ts'
import type { Classified, Sample } from './classified.ts'
import { type Summary, summarise } from './statistics.ts'

const TIMEOUT_MS = 30_000

export interface Pace {
  readonly changes: number
  readonly everyMs: number
  /** This many companies are changed in turn; one whose change is still awaited is passed over. */
  readonly companies: number
  /** Distance between their ids. Default 1. */
  readonly stride?: number
  readonly signal: AbortSignal
}

export interface PacedFigures {
  readonly fromCommitMs: Summary
  readonly fromSendMs: Summary
  /** Changes whose classification was not seen within 30 s. */
  readonly unseen: number
  readonly changesPerSecond: number
}

export interface PacedSamples {
  readonly samples: readonly Sample[]
  readonly unseen: number
  readonly tookMs: number
}

export async function samplesAtPace(classified: Classified, pace: Pace): Promise<PacedSamples> {
  const { changes, everyMs, companies, stride = 1, signal } = pace
  const samples: Sample[] = []
  const inFlight = new Set<number>()
  let unseen = 0
  const one = async (id: number) => {
    inFlight.add(id)
    const sample = await classified.change(id, TIMEOUT_MS)
    inFlight.delete(id)
    if (sample === null) unseen += 1
    else samples.push(sample)
  }
  const pending: Promise<void>[] = []
  const startedMs = performance.now()
  for (let made = 0, id = 0; made < changes; made += 1) {
    const waitMs = startedMs + made * everyMs - performance.now()
    if (waitMs > 0) await sleep(waitMs, signal)
    do id = (id % companies) + 1
    while (inFlight.has(id * stride) && inFlight.size < companies)
    pending.push(one(id * stride))
  }
  const tookMs = performance.now() - startedMs
  await Promise.all(pending)
  return { samples, unseen, tookMs }
}

export async function changeAtPace(classified: Classified, pace: Pace): Promise<PacedFigures> {
  const { samples, unseen, tookMs } = await samplesAtPace(classified, pace)
  return {
    fromCommitMs: summarise(samples.map(({ fromCommit }) => fromCommit)),
    fromSendMs: summarise(samples.map(({ fromSend }) => fromSend)),
    unseen,
    changesPerSecond: Math.round((pace.changes / tookMs) * 1000),
  }
}
