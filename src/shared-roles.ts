/**
 * What there is one of among the processes of a shared service: capture and each connector.
 *
 * Invariant: each runs under its role, so one process has it and the others stand by; what it finds when it takes over
 * is brought in line first, because the one before may have been killed at any point.
 */
import { readCarrier } from './capture/carrier.ts'
import { followDebezium } from './capture/debezium.ts'
import { ensureIdentities, type WatchedTables } from './capture/publication.ts'
import { publishChanges } from './capture/publishing.ts'
import { ensureCapture } from './capture/slot.ts'
import { BudgetBook } from './connect/budget.ts'
import type { ConnectReport } from './connect/options.ts'
import { superviseConnector } from './connect/supervise.ts'
import { sleep } from './db/backoff.ts'
import { type HeldRole, type RoleState, runAsLeader } from './db/leader.ts'
import { isRetriableDbError } from './db/pool.ts'
import { asError } from './errors.ts'
import { capturedTables, featureTables, filledTables } from './graph/captured-tables.ts'
import { pathColumns } from './graph/path-columns.ts'
import { wantSweepOfAll } from './log/kafka/positions.ts'
import { emitBarrier } from './log/stage-position.ts'
import { outsideParts } from './outside.ts'
import { type RunningPart, watchConnectors } from './service-parts.ts'
import type { SharedProcess } from './shared-process.ts'

/** Tells health and metrics who has the role. `isReady` by itself, or once the work says so. */
function roleTold({ health, metrics }: SharedProcess, part: string, isReadyWhen: 'leading' | 'told') {
  return (role: RoleState) => {
    metrics.role(part, role === 'leader')
    if (role === 'stand-by') health.set(part, 'standing by')
    else if (role === 'leader' && isReadyWhen === 'leading') health.set(part, 'running')
    else health.set(part, 'starting', role === 'leader' ? 'not streaming yet' : 'its role is not held')
  }
}

const DEBEZIUM_PART = 'debezium'
const LOOK_EVERY_MS = 200

/**
 * Resolves once there is a slot, or the signal has aborted. A stage that swept before that would leave behind what is
 * written between its look and the slot: a feature row that scoring hears of from nobody.
 */
export async function untilCaptured({ pool, signal }: SharedProcess): Promise<void> {
  while (!signal.aborted) {
    const known = await readCarrier(pool).catch((error: unknown) => {
      if (isRetriableDbError(error)) return null
      throw error
    })
    if (known !== null) return
    // Rejects only when the signal aborts, which the loop's condition sees.
    await sleep(LOOK_EVERY_MS, signal).catch(() => undefined)
  }
}

function watchedTables({ options, graph }: SharedProcess): WatchedTables {
  const { publication, config } = options
  return { publication, tables: capturedTables(graph), owned: [...filledTables(config), ...featureTables(graph)] }
}

export function runCapture(shared: SharedProcess): RunningPart {
  const { options, pool, kafka, carrier, signal, health, metrics } = shared
  const { slot, publication, url, log, faults } = options
  const watched = watchedTables(shared)
  const work = async (isLeader: AbortSignal, role: HeldRole) => {
    await ensureCapture(pool, { ...watched, slot, carrier })
    // What was written before there was a slot only a sweep sees; one that ran before the slot was made saw too little.
    await wantSweepOfAll(pool, ['recompute', 'score'])
    // Whoever waited already has a barrier that no slot kept.
    await emitBarrier(pool, 'capture')
    await publishChanges({
      pool,
      url,
      slot,
      publication,
      kafka,
      tables: watched.tables,
      prefix: options.kafka.prefix,
      ...options.kafka.writing,
      signal: isLeader,
      role,
      onReady: () => health.set('capture', 'running'),
      onPublished: (records, bytes) => metrics.published(records, bytes),
      onError: (error, retryInMs) =>
        log.warn({ error: asError(error).message, retryInMs: Math.round(retryInMs) }, 'Capture lost a connection.'),
      ...(faults === undefined ? {} : { faults }),
    })
  }
  health.set('capture', 'starting')
  return {
    name: 'capture',
    ended: runAsLeader(url, 'capture', signal, work, { onRole: roleTold(shared, 'capture', 'told') }),
  }
}

/** Where a Debezium connector captures: its slot is awaited and watched, by one process as all the others. */
export function watchDebezium(shared: SharedProcess): RunningPart {
  const { options, pool, carrier, signal, health } = shared
  const { slot, url, log } = options
  let told = ''
  const tell = (reason: string) => {
    if (reason !== '' && reason !== told) log.warn({ reason }, 'The Debezium connector is waited for.')
    told = reason
  }
  const work = async (isLeader: AbortSignal) => {
    const watched = watchedTables(shared)
    await ensureIdentities(pool, watched)
    await followDebezium({
      ...watched,
      pool,
      slot,
      carrier,
      signal: isLeader,
      beforeNoted: () => wantSweepOfAll(pool, ['recompute', 'score']),
      onWaiting: (reason) => {
        health.set(DEBEZIUM_PART, 'starting', reason)
        tell(reason)
      },
      // A connector that is away does not make this process unready: what there is to read, it reads.
      onWatched: (isStreaming) => {
        health.set(DEBEZIUM_PART, 'running')
        tell(isStreaming ? '' : `Nothing reads its slot '${slot}'.`)
      },
    })
  }
  health.set(DEBEZIUM_PART, 'starting')
  return {
    name: DEBEZIUM_PART,
    ended: runAsLeader(url, 'capture', signal, work, { onRole: roleTold(shared, DEBEZIUM_PART, 'told') }),
  }
}

/** And what is said and heard beside them, from the same budgets. */
export async function runConnectors(shared: SharedProcess): Promise<readonly RunningPart[]> {
  const { options, pool, graph, signal, health, metrics } = shared
  const { config, url, log } = options
  const budgets = new BudgetBook()
  watchConnectors(metrics, config.connectors, budgets)
  const report: ConnectReport = (event) => {
    metrics.connectorEvent(event)
    options.reportConnector?.(event)
  }
  const asLeader = (role: string, work: (isLeader: AbortSignal) => Promise<void>) => {
    health.set(role, 'starting')
    return runAsLeader(url, role, signal, work, { onRole: roleTold(shared, role, 'leading') })
  }
  const outside = await outsideParts({ pool, config, signal, log, budgets, report, faults: options.faults, asLeader })
  for (const { name } of outside) if (name === 'webhooks') health.set(name, 'running')
  const running = config.connectors.map((connector) => {
    const name = `connector ${connector.name}`
    const work = (isLeader: AbortSignal) =>
      superviseConnector({ pool, log, budgets, foreignKeys: pathColumns(graph), connector, signal: isLeader, report })
    health.set(name, 'starting')
    return { name, ended: runAsLeader(url, name, signal, work, { onRole: roleTold(shared, name, 'leading') }) }
  })
  return [...running, ...outside]
}
