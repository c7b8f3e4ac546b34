/**
 * `rescore verify`: recomputes from scratch, by code that shares nothing with the stages, and compares.
 *
 * Invariants: everything of one round is read in one snapshot, taken after all that was committed before is reflected;
 * because the service goes on meanwhile, a difference counts only when it is found again, in new snapshots, three times.
 * Reads only: a crash leaves nothing behind.
 */
import { sleep } from '../db/backoff.ts'
import { type Client, type Pool, withTransaction } from '../db/pool.ts'
import type { Graph } from '../graph/graph.ts'
import type { Clock } from '../log/clock.ts'
import { checkDefinitions } from './verify/check-definitions.ts'
import { checkKeys } from './verify/check-keys.ts'
import { type Difference, identityOf } from './verify/difference.ts'
import type { VerifiedModel } from './verify/model.ts'
import { overdueTimers, readNow, waitUntilFired } from './verify/timers.ts'
import { inPieces, walkKeys } from './verify/walk.ts'
import { waitUntilReflected } from './wait.ts'

export type { Difference, DifferenceKind } from './verify/difference.ts'

export interface VerifyOptions {
  readonly pool: Pool
  readonly url: string
  readonly graph: Graph
  readonly models: { readonly models: readonly VerifiedModel[] }
  /** Entities of each kind to look at, at random; null: all, and what is derived for entities that are gone. */
  readonly sample: number | null
  readonly signal: AbortSignal
  /** How long to wait, each round, until everything committed is reflected. */
  readonly timeoutMs: number
  /** Instead of the database's. */
  readonly clock?: Clock | undefined
  /** Pauses before each further look at what seemed wrong. */
  readonly recheckPausesMs?: readonly number[]
}

export interface VerifyReport {
  readonly entities: number
  /** Values compared. */
  readonly features: number
  readonly classifications: number
  /** Entities that wait for a backfill: known to be stale, and not compared. */
  readonly stale: number
  /** Entities whose values a silent backfill moved, not scored since: their labels are not compared, all else is. */
  readonly silenced: number
  /** The first 1,000. */
  readonly differences: readonly Difference[]
  readonly differenceCount: number
  /** False when so much was wrong that the walk ended early: then nothing is said of the rest. */
  readonly isComplete: boolean
  readonly ms: number
  /** Everything committed before this LSN was reflected before the last snapshot. */
  readonly reflectedLsn: string
}

const LISTED = 1_000
/** Differences kept for another look; beyond it the walk ends, because the answer is known. */
const MAX_SUSPECTS = 50_000
const RECHECK_PAUSES_MS = [100, 400, 1_500]

/** Keys of an entity, in pieces. */
type KeysOf = (client: Client, entity: string) => AsyncIterable<readonly string[]> | Iterable<readonly string[]>

interface Round {
  readonly found: readonly Difference[]
  readonly entities: number
  readonly features: number
  readonly classifications: number
  readonly stale: number
  readonly silenced: number
  readonly isComplete: boolean
  readonly reflectedLsn: string
}

/** @param isWanted differences to keep */
async function look(
  options: VerifyOptions,
  keysOf: KeysOf,
  isWanted: (difference: Difference) => boolean,
): Promise<Round> {
  const { pool, url, graph, signal, timeoutMs, clock } = options
  const { lsn } = await waitUntilReflected({ url, timeoutMs, signal })
  const dueMs = await readNow(pool, clock)
  await waitUntilFired(pool, dueMs, { signal, withinMs: timeoutMs })
  return withTransaction(pool, { isolation: 'repeatable read', readOnly: true }, async (client) => {
    const definitions = await checkDefinitions(client, graph, options.models.models)
    const nowMs = await readNow(client, clock)
    const found = [...definitions.differences, ...(await overdueTimers(client, dueMs))].filter(isWanted)
    const count = { entities: 0, features: 0, classifications: 0, stale: 0, silenced: 0 }
    for (const node of graph.entities.values()) {
      const { name } = node.entity
      const models = options.models.models.filter(({ model }) => model.entity.name === name)
      const epoch = definitions.epochs.get(name) ?? 0
      const required = definitions.required.get(name) ?? 0
      const check = { client, node, models, knownModels: definitions.models, epoch, required, nowMs }
      for await (const keys of keysOf(client, name)) {
        signal.throwIfAborted()
        const checked = await checkKeys(check, keys)
        const compared = keys.length - checked.stale
        found.push(...checked.found.filter(isWanted))
        count.entities += compared
        count.features += compared * node.features.length
        count.classifications += compared * models.length
        count.stale += checked.stale
        count.silenced += checked.silenced
        if (found.length > MAX_SUSPECTS) return { found, ...count, isComplete: false, reflectedLsn: lsn }
      }
    }
    return { found, ...count, isComplete: true, reflectedLsn: lsn }
  })
}

/** @throws RescoreError CLI_WAIT_TIMEOUT, CLI_NO_STAGES; the signal's reason when it aborts */
export async function verify(options: VerifyOptions): Promise<VerifyReport> {
  const { graph, sample, signal, recheckPausesMs = RECHECK_PAUSES_MS } = options
  const startedMs = performance.now()
  const everyKey: KeysOf = (client, entity) => {
    const node = graph.entities.get(entity)
    return node === undefined ? [] : walkKeys(client, node, sample)
  }
  const first = await look(options, everyKey, () => true)
  let { found, reflectedLsn } = first
  for (const pauseMs of recheckPausesMs) {
    if (found.length === 0) break
    await sleep(pauseMs, signal)
    const suspects = Map.groupBy(found, ({ entity }) => entity)
    const theirKeys: KeysOf = (_, entity) => {
      const keys = (suspects.get(entity) ?? []).map(({ key }) => key).filter((key) => key !== null)
      return inPieces([...new Set(keys)])
    }
    const before = new Set(found.map(identityOf))
    const again = await look(options, theirKeys, (difference) => before.has(identityOf(difference)))
    found = again.found
    reflectedLsn = again.reflectedLsn
  }
  return {
    entities: first.entities,
    stale: first.stale,
    silenced: first.silenced,
    features: first.features,
    classifications: first.classifications,
    differences: found.slice(0, LISTED),
    differenceCount: found.length,
    isComplete: first.isComplete,
    ms: performance.now() - startedMs,
    reflectedLsn,
  }
}
