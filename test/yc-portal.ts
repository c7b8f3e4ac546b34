/**
 * The portal of real companies, and the connector that reads it into a test's database.
 *
 * The data are not in the repository: without ../shared there is nothing to read, and tests are skipped with a notice.
 * Invariants: nothing reads but when told to; a record that is refused fails the test.
 */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { expect } from 'vitest'
import { hubspot } from '../connectors/hubspot/index.ts'
import * as company from '../features/company.ts'
import { growth } from '../models/growth/model.ts'
import { risk } from '../models/risk/model.ts'
import { BudgetBook } from '../src/connect/budget.ts'
import { runPass } from '../src/connect/pass.ts'
import { prepareConnector } from '../src/connect/runner.ts'
import { defineConfig } from '../src/define/index.ts'
import { compileGraph } from '../src/graph/compile.ts'
import { pathColumns } from '../src/graph/path-columns.ts'
import type { Portal } from './simulator/index.ts'
import { applyYcChange, loadYcPortal, startSimulator, type YcDay, ycChanges } from './simulator/index.ts'
import type { TestDatabase } from './support/pg.ts'

const DATA = resolve(import.meta.dirname, '../../shared/data/yc')
const FIGURES = resolve(import.meta.dirname, '../figures')
const HOUR_MS = 3_600_000

export const COMPANIES = 4_051
export const ycConfig = defineConfig({ features: [company], models: [growth, risk] })

/** Null, or why the run cannot be made here; printed once. */
export function missingYcData(file: string): string | null {
  if (existsSync(DATA)) return null
  const reason = `${DATA} is not there (real data, not in the repository)`
  process.stderr.write(`${file} is skipped: ${reason}.\n`)
  return reason
}

/** How many dates are replayed: RESCORE_YC_MONTHS, `all` by npm run test:yc. */
export function wantedDates<T>(dates: readonly T[], usually: number): readonly T[] {
  const wanted = process.env.RESCORE_YC_MONTHS ?? String(usually)
  return wanted === 'all' ? dates : dates.slice(0, Number(wanted))
}

export interface YcPortal extends AsyncDisposable {
  readonly portal: Portal
  readonly days: readonly YcDay[]
  /** What the connector warned of. */
  readonly warnings: readonly object[]
  /** Bugs of the simulator itself. */
  readonly errors: readonly Error[]
  /** One pass of every stream at the portal's time. @returns rows written */
  readAll(): Promise<number>
  /** The changes of a date happen in the portal; nothing reads them yet. */
  apply(day: YcDay): void
}

export async function openYc(database: TestDatabase): Promise<YcPortal> {
  const portal = await loadYcPortal(DATA, { seed: 1 })
  const days = await ycChanges(DATA)
  const simulator = await startSimulator({ portal, rateLimits: false })
  const connector = hubspot({
    accessToken: simulator.token,
    baseUrl: simulator.url,
    callsPer10s: 1_000_000,
    searchesPerSecond: 1_000_000,
  })
  await prepareConnector({ pool: database.pool, connector, foreignKeys: pathColumns(compileGraph(ycConfig)) })
  const stop = new AbortController()
  const warnings: object[] = []
  const log = {
    info: () => undefined,
    warn: (fields: object, message: string) => void warnings.push({ message, ...fields }),
  }
  const budgets = new BudgetBook()
  const setting = { pool: database.pool, connector, signal: stop.signal, log, clock: portal.clock }
  return {
    portal,
    days,
    warnings,
    errors: simulator.errors,
    readAll: async () => {
      let written = 0
      for (const stream of connector.streams) {
        const landed = await runPass(setting, stream, budgets)
        expect(landed.rejected).toBe(0)
        written += landed.written
      }
      return written
    },
    apply: ({ atMs, changes }) => {
      portal.clock.set(atMs)
      for (const change of changes) applyYcChange(portal, change)
      // The search index lags by up to a minute, and so does the delayed lane.
      portal.clock.advance(HOUR_MS)
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await simulator.close()
    },
  }
}

export async function saveFigures(name: string, figures: object): Promise<void> {
  await mkdir(FIGURES, { recursive: true })
  await writeFile(join(FIGURES, name), `${JSON.stringify(figures, null, 2)}\n`)
}
