/**
 * The real run: 4,051 companies load through the simulator and the connector, then two and a half years of their real
 * changes are replayed as CRM edits, inserts and deletions. After each date everything stored equals a recompute from
 * scratch, hardly anything more was computed than inputs moved, and a second look at the portal writes nothing.
 *
 * RESCORE_YC_MONTHS says how many dates are replayed (default 6; `all` by npm run test:yc). Figures go to the folder
 * figures.
 */
import { expect } from 'vitest'
import { compileGraph } from '../src/graph/compile.ts'
import { verify } from '../src/observe/verify.ts'
import { waitUntilReflected } from '../src/observe/wait.ts'
import { loadModels } from '../src/score/registry.ts'
import type { TestDatabase } from './support/pg.ts'
import { COMPANIES, openYc, saveFigures, wantedDates, ycConfig } from './yc-portal.ts'

type Cells = ReadonlyMap<string, unknown>

/** Everything derived, cell by cell: `company 5 team_size`, `growth 5 label`. */
async function derived(database: TestDatabase): Promise<Cells> {
  const { rows } = await database.query<{ cell: string; value: unknown }>(
    `select concat_ws(' ', 'company', f.key, v.key) as cell, v.value from rescore.features_company f,
       jsonb_each(to_jsonb(f) - '{key,snap_lsn,epoch,source_lsn,source_at,computed_at}'::text[]) as v
     union all
     select concat_ws(' ', model, key, 'scored'), to_jsonb(row(label, probabilities, fingerprint)) from rescore.classification`,
  )
  return new Map(rows.map(({ cell, value }) => [cell, JSON.stringify(value)]))
}

/** Cells of rows that stand before and after, and differ. */
function movedCells(before: Cells, after: Cells, prefix: string): number {
  return [...after].filter(([cell, value]) => cell.startsWith(prefix) && before.has(cell) && before.get(cell) !== value)
    .length
}

/** Values that the history says moved in rows that stood already, since `id`. */
async function movesSince(database: TestDatabase, id: bigint): Promise<number> {
  const { rows } = await database.query<{ moves: bigint }>(
    `select count(*) as moves from rescore.feature_history, json_each(changed) as c
     where op = 'update' and id > $1 and (c.value->'from')::jsonb is distinct from (c.value->'to')::jsonb`,
    [id],
  )
  return Number(rows[0]?.moves)
}

async function lastHistory(database: TestDatabase): Promise<bigint> {
  const { rows } = await database.query<{ id: bigint }>(
    'select coalesce(max(id), 0) as id from rescore.feature_history',
  )
  return rows[0]?.id ?? 0n
}

export interface YcService {
  /** Of every process so far. */
  counters(): { readonly computed: number; readonly needed: number; readonly rows: number; readonly scored: number }
  /** Ends all of it. @throws what ended it before */
  stop(): Promise<void>
}

export interface YcRun {
  readonly database: TestDatabase
  start(warn: (fields: object, message: string) => void): Promise<YcService>
  /** computed / needed of a date may not be above. */
  readonly maxRatio: number
  /** One worker, in one order: each value that differs was written once, and none that does not. */
  readonly writesOnce: boolean
  readonly timeoutMs: number
  /** Name of the file of figures. */
  readonly figures: string
}

export async function replayYc({
  database,
  start,
  maxRatio,
  writesOnce,
  timeoutMs,
  figures: name,
}: YcRun): Promise<void> {
  await using models = await loadModels(ycConfig.models)
  await using yc = await openYc(database)
  const graph = compileGraph(ycConfig)
  const warnings: object[] = []
  const service = await start((fields, message) => void warnings.push({ message, ...fields }))
  const { signal } = new AbortController()
  const settled = () => waitUntilReflected({ url: database.url, timeoutMs, signal })
  const check = async () => {
    const report = await verify({
      pool: database.pool,
      url: database.url,
      graph,
      models,
      sample: null,
      signal,
      timeoutMs,
    })
    expect(report.differences).toEqual([])
    return report
  }

  try {
    const startedMs = performance.now()
    const loaded = await yc.readAll()
    const loadMs = performance.now() - startedMs
    await settled()
    const classifiedMs = performance.now() - startedMs
    const first = await check()
    expect(first.entities).toBe(COMPANIES)
    expect(first.classifications).toBe(2 * COMPANIES)

    const months = []
    for (const day of wantedDates(yc.days, 6)) {
      const before = await derived(database)
      const historyBefore = await lastHistory(database)
      const counted = service.counters()
      yc.apply(day)
      const dayStartedMs = performance.now()
      const rowsLanded = await yc.readAll()
      await settled()
      const seconds = (performance.now() - dayStartedMs) / 1_000
      const now = service.counters()
      const computed = now.computed - counted.computed
      const needed = now.needed - counted.needed
      const figures = {
        date: day.date,
        changes: day.changes.length,
        rowsLanded,
        computed,
        needed,
        featureRowsWritten: now.rows - counted.rows,
        classificationsWritten: now.scored - counted.scored,
        seconds,
      }
      months.push(figures)
      expect(computed / Math.max(1, needed), day.date).toBeLessThanOrEqual(maxRatio)
      const after = await derived(database)
      const moves = await movesSince(database, historyBefore)
      if (writesOnce) expect(moves, day.date).toBe(movedCells(before, after, 'company'))
      else expect(moves, day.date).toBeGreaterThanOrEqual(movedCells(before, after, 'company'))
      expect(await yc.readAll(), `${day.date}: a second look`).toBe(0)
      await check()
    }
    expect([...warnings, ...yc.warnings]).toEqual([])
    expect(yc.errors).toEqual([])
    await saveFigures(name, {
      companies: first.entities,
      rowsLoaded: loaded,
      loadSeconds: loadMs / 1_000,
      classifiedSeconds: classifiedMs / 1_000,
      months,
    })
  } finally {
    await service.stop()
  }
}
