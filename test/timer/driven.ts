/**
 * The recompute stage on its real runner and a real PostgreSQL, with a clock that the test drives: rows change, time
 * passes, and whatever is stored is held against verify's own code.
 */
import { expect } from 'vitest'
import { type Client, withTransaction } from '../../src/db/pool.ts'
import type { Table } from '../../src/define/index.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { type Clock, nowSql } from '../../src/log/clock.ts'
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import type { Change } from '../../src/log/log.ts'
import { END_OF_TRANSACTION, START } from '../../src/log/position.ts'
import type { StageEvent } from '../../src/log/stage.ts'
import { runStage } from '../../src/log/stage-runner.ts'
import { checkKeys } from '../../src/observe/verify/check-keys.ts'
import type { Difference } from '../../src/observe/verify/difference.ts'
import { createRecomputeStage } from '../../src/recompute/stage.ts'
import { TimerLane } from '../../src/timer/lane.ts'
import { Upcoming } from '../../src/timer/upcoming.ts'
import { openHarness } from '../recompute/harness.ts'
import { eventually } from '../support/eventually.ts'
import type { TestDatabase } from '../support/pg.ts'

export interface Driven extends AsyncDisposable {
  readonly events: readonly StageEvent[]
  /** What the clock shows, milliseconds since 1970; no time that counts where it was later before. */
  nowMs: number
  /** Runs SQL and hands its changes to the log. */
  change(sql: string, values?: unknown[]): Promise<void>
  /** Hands changes to the log that have happened already. */
  append(changes: readonly Change[]): Promise<void>
  /** Ends the run and begins another. */
  restart(): Promise<void>
  /** Until every change is handled and no timer is due. */
  idle(): Promise<void>
  /** All that is stored against what it is from scratch at this instant. */
  check(): Promise<readonly Difference[]>
}

const PATIENCE = { deadlineMs: 60_000, everyMs: 10 }

async function everyKey(client: Client, graph: Graph, nowMs: number): Promise<readonly Difference[]> {
  const found: Difference[] = []
  for (const node of graph.entities.values()) {
    const { rows } = await client.query<{ key: string }>(
      `select id::text as key from ${node.entity.table.id} union select key::text from ${node.featureTable}`,
    )
    const check = { client, node, models: [], knownModels: new Set<string>(), epoch: 1, required: 1, nowMs }
    found.push(
      ...(
        await checkKeys(
          check,
          rows.map(({ key }) => key),
        )
      ).found,
    )
  }
  return found
}

export async function openDriven(
  database: TestDatabase,
  graph: Graph,
  tables: readonly Table[],
  nowMs: number,
): Promise<Driven> {
  const harness = await openHarness(database, graph, { tables })
  const { pool } = database
  const events: StageEvent[] = []
  const report = (event: StageEvent) => void events.push(event)
  const time = { nowMs }
  const clock: Clock = () => time.nowMs
  let lsn = 1n

  const begin = () => {
    const log = new EmbeddedLog({ stages: new Map([['recompute', START]]) })
    const upcoming = new Upcoming()
    const stage = createRecomputeStage({ graph, report, strict: true, onTimer: upcoming.note })
    const ending = new AbortController()
    const lanes = [new TimerLane({ pool, stage, upcoming, report, clock })]
    const done = runStage({ pool, log, stage, lanes, clock, report, signal: ending.signal, maxEntries: 50 })
    const ended = done.catch((error: unknown) => error)
    return { log, ended, ending }
  }
  let run = begin()
  const end = async () => {
    run.ending.abort(new Error('The test has ended it.'))
    expect(await run.ended).toBeUndefined()
  }

  const driven: Driven = {
    events,
    get nowMs() {
      return time.nowMs
    },
    set nowMs(to) {
      time.nowMs = to
    },
    change: async (sql, values) => driven.append(await harness.exec(sql, values)),
    append: async (changes) => {
      lsn += 10n
      const entries = changes.map((each, index) => ({
        ...each,
        position: { lsn, index },
        committedAtMs: time.nowMs,
      }))
      const commit = { lsn, endLsn: lsn + 1n }
      const end = { lsn, index: END_OF_TRANSACTION }
      await run.log.append({ entries, end, commit, committedAtMs: time.nowMs, bytes: 100 }, AbortSignal.timeout(60_000))
    },
    restart: async () => {
      await end()
      run = begin()
    },
    idle: () =>
      eventually(async () => {
        expect(run.log.backlog('recompute')).toBe(0)
        const { rows } = await database.query<{ due: bigint }>(
          `select count(*) as due from rescore.timer where due_at <= ${nowSql(clock)}`,
        )
        expect(rows[0]?.due).toBe(0n)
      }, PATIENCE),
    check: () =>
      withTransaction(pool, { isolation: 'repeatable read' }, async (client) => {
        const { rows } = await client.query<{ now: number }>(
          `select (extract(epoch from ${nowSql(clock)}) * 1000)::float8 as now`,
        )
        return everyKey(client, graph, rows[0]?.now ?? 0)
      }),
    [Symbol.asyncDispose]: end,
  }
  return driven
}
