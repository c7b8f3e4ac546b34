/**
 * What is brought in line before a service on the embedded log reads its first change: migrations, source tables,
 * definitions, slot.
 *
 * Invariant: every step may be repeated and finds nothing left to do, so a crash in between is mended by the next start.
 */
import { ensureCapture } from './capture/slot.ts'
import { assertWatchable } from './capture/watchable.ts'
import { prepareConnector } from './connect/runner.ts'
import { migrate } from './db/migrate.ts'
import type { Pool } from './db/pool.ts'
import { prepareDeliveries } from './deliver/prepare.ts'
import { capturedTables, featureTables, filledTables } from './graph/captured-tables.ts'
import type { Graph } from './graph/graph.ts'
import { pathColumns } from './graph/path-columns.ts'
import { ensureMonths, readNow } from './history/partitions.ts'
import type { Stage } from './log/stage.ts'
import { emitBarrier } from './log/stage-position.ts'
import type { ServiceOptions } from './service.ts'

type Deployable = Pick<Stage<unknown>, 'deploy'>

/** Captured on the embedded log too: it is how a stage learns, in order, up to where the one before it vouches. */
const POSITIONS = 'rescore.stage_position'

export async function prepareService(pool: Pool, options: ServiceOptions, graph: Graph, stages: readonly Deployable[]) {
  const { config, slot, publication } = options
  await migrate(pool)
  await ensureMonths(pool, await readNow(pool))
  for (const connector of config.connectors) {
    await prepareConnector({ pool, connector, foreignKeys: pathColumns(graph) })
  }
  const filled = filledTables(config)
  await assertWatchable(pool, graph.tables, { publication, filled })
  for (const stage of stages) await stage.deploy(pool)
  await prepareDeliveries(pool, graph, config.deliver ?? [])
  await ensureCapture(pool, {
    slot,
    publication,
    tables: [...capturedTables(graph), POSITIONS],
    owned: [...filled, ...featureTables(graph), POSITIONS],
  })
  // Whoever waited before there was a slot has a barrier that no slot kept.
  await emitBarrier(pool, 'start')
}
