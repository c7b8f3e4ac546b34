/**
 * What there is one of among the processes of a shared service: capture and each connector.
 *
 * Invariant: each runs under its role, so one process has it and the others stand by; what it finds when it takes over
 * is brought in line first, because the one before may have been killed at any point.
 */
import { publishChanges } from './capture/publishing.ts'
import { ensureCapture } from './capture/slot.ts'
import { BudgetBook } from './connect/budget.ts'
import { superviseConnector } from './connect/supervise.ts'
import { runAsLeader } from './db/leader.ts'
import { asError } from './errors.ts'
import { capturedTables, featureTables } from './graph/captured-tables.ts'
import { pathColumns } from './graph/path-columns.ts'
import { wantSweepOfAll } from './log/kafka/positions.ts'
import { emitBarrier } from './log/stage-position.ts'
import type { SharedProcess } from './shared-process.ts'

export function runCapture({ options, pool, graph, kafka, signal }: SharedProcess): Promise<void> {
  const { config, slot, publication, url, log, faults } = options
  const tables = capturedTables(graph)
  const filled = config.connectors.flatMap(({ streams }) =>
    streams.flatMap(({ tables: own }) => own.map(({ id }) => id)),
  )
  return runAsLeader(url, 'capture', signal, async (isLeader) => {
    await ensureCapture(pool, { slot, publication, tables, owned: [...filled, ...featureTables(graph)] })
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
      tables,
      prefix: options.kafka.prefix,
      signal: isLeader,
      onError: (error, retryInMs) =>
        log.warn({ error: asError(error).message, retryInMs: Math.round(retryInMs) }, 'Capture lost a connection.'),
      ...(faults === undefined ? {} : { faults }),
    })
  })
}

export function runConnectors({ options, pool, graph, signal }: SharedProcess): readonly Promise<void>[] {
  const { config, url, log, reportConnector } = options
  const budgets = new BudgetBook()
  const shared = { pool, log, budgets, foreignKeys: pathColumns(graph) }
  return config.connectors.map((connector) =>
    runAsLeader(url, `connector ${connector.name}`, signal, (isLeader) =>
      superviseConnector({
        ...shared,
        connector,
        signal: isLeader,
        ...(reportConnector === undefined ? {} : { report: reportConnector }),
      }),
    ),
  )
}
