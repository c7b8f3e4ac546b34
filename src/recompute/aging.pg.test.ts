/**
 * Time goes on from due to due, with changes of rows in between: at every instant what is stored is what all rows give from
 * scratch, and only what is dirty, due, or reads what moved was computed. Engine and PostgreSQL are real; the test fires
 * what is due and nothing else.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type AgingRow,
  base,
  COMPANY_KEYS,
  companies,
  companyNear,
  dealNear,
  deals,
  graph,
  lineNear,
  lines,
  momentNear,
  replaceRows,
  rowsNear,
  tables,
  upsertSql,
} from '../../test/recompute/aging.ts'
import { Scratch } from '../../test/recompute/from-scratch.ts'
import { batchOf, type Harness, openHarness } from '../../test/recompute/harness.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { quoteTable, withTransaction } from '../db/pool.ts'
import type { Table } from '../define/index.ts'
import type { EntityNode } from '../graph/graph.ts'
import type { ApplyContext } from '../log/stage.ts'
import { type Dirty, planAffected } from './affected.ts'
import type { Asked } from './compute.ts'
import { Engine } from './engine.ts'
import { readEpochs } from './epochs.ts'
import type { Outcome } from './outcome.ts'
import { resolveTraces } from './traces.ts'

function companyNode(): EntityNode {
  const found = graph.entities.get('company')
  if (found === undefined) throw new Error('There is no company.')
  return found
}

const node = companyNode()

const bitsOf = (mask: bigint) =>
  node.features.map(({ bit }) => bit).filter((bit) => ((mask >> BigInt(bit)) & 1n) === 1n)

/** How many features are computed when these are, and what moved wakes its readers. */
function expectedCount({ computed }: Outcome, bits: bigint): number {
  const woken = new Set(bitsOf(bits))
  for (const { feature } of computed?.moves ?? []) {
    for (const reader of node.features.find((one) => one.feature.name === feature)?.readers ?? []) woken.add(reader)
  }
  return woken.size
}

class World {
  readonly #db: TestDatabase
  readonly #harness: Harness
  readonly #engine = new Engine(node, true)
  /** Key to bit to instant. */
  readonly #due = new Map<string, Map<number, number>>()
  nowMs: number

  constructor(db: TestDatabase, harness: Harness, nowMs: number) {
    this.#db = db
    this.#harness = harness
    this.nowMs = nowMs
  }

  get nextMs(): number {
    return Math.min(...[...this.#due.values()].flatMap((bits) => [...bits.values()]))
  }

  async #run(
    work: (context: ApplyContext) => Promise<ReadonlyMap<string, Dirty | null>>,
    asked?: Asked,
  ): Promise<readonly Outcome[]> {
    const found: Outcome[] = []
    await withTransaction(this.#db.pool, { isolation: 'repeatable read' }, async (client) => {
      const { rows } = await client.query<{ lsn: bigint }>(
        `select (pg_current_wal_insert_lsn() - '0/0')::bigint as lsn`,
      )
      const signal = new AbortController().signal
      const context = { client, snapshotLsn: rows[0]?.lsn ?? 0n, nowMs: this.nowMs, signal }
      const epochs = (await readEpochs(client, graph)).get('company')
      if (epochs === undefined) throw new Error('There are no epochs.')
      const counters = { handled: 0, computed: 0, needed: 0, written: 0 }
      const onOutcomes = (outcomes: readonly Outcome[]) => void found.push(...outcomes)
      const run = { context, epochs, counters, onOutcomes, ...(asked === undefined ? {} : { asked }) }
      await this.#engine.recompute(await this.#engine.begin(run, await work(context)))
    })
    for (const { row, computed } of found) this.#keepDue(row.key, computed)
    return found
  }

  #keepDue(key: string, computed: Outcome['computed']): void {
    if (computed === null) this.#due.delete(key)
    const bits = this.#due.get(key) ?? new Map<number, number>()
    for (const { bit, dueMs } of computed?.due ?? []) {
      if (dueMs === null) bits.delete(bit)
      else bits.set(bit, dueMs)
    }
    if (computed !== null) this.#due.set(key, bits)
  }

  async load(keys: readonly string[]): Promise<void> {
    await this.#run(async () => new Map(keys.map((key) => [key, null])))
  }

  async change(sql: string, values: unknown[]): Promise<void> {
    const changes = await this.#harness.exec(sql, values)
    const plan = planAffected(graph, batchOf(changes))
    if (plan === null) return
    const outcomes = await this.#run(async ({ client }) => {
      await resolveTraces(client, plan)
      return plan.affected.get('company') ?? new Map()
    })
    for (const outcome of outcomes) {
      if (outcome.computed === null || outcome.row.epoch === null) continue
      expect(outcome.computed.computed).toBe(expectedCount(outcome, outcome.dirty?.bits ?? 0n))
    }
  }

  /** Goes to the next instant at which anything is due, and computes what is due then. */
  async goOn(): Promise<void> {
    this.nowMs = this.nextMs
    for (const [key, bits] of [...this.#due]) {
      const due = [...bits].filter(([, dueMs]) => dueMs <= this.nowMs).map(([bit]) => bit)
      const mask = due.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n)
      if (mask === 0n) continue
      const [outcome] = await this.#run(async () => new Map([[key, null]]), { bits: mask, isForced: true })
      if (outcome === undefined) throw new Error(`${key} came to nothing.`)
      expect(outcome.computed?.computed).toBe(expectedCount(outcome, mask))
      for (const bit of due) expect(this.#due.get(key)?.get(bit) ?? Infinity).toBeGreaterThan(this.nowMs)
    }
  }

  async check(): Promise<void> {
    const stored = await this.#harness.stored()
    const scratch = await withTransaction(this.#db.pool, {}, (client) => Scratch.read(client, node, COMPANY_KEYS))
    const at = (ms: number) => Object.fromEntries(scratch.keys.map((key) => [key, scratch.valuesOf(key, ms)]))
    expect(stored).toEqual(at(this.nowMs))
    if (this.nextMs !== Infinity) expect(stored).toEqual(at(this.nextMs - 1))
  }
}

type Step =
  | { readonly kind: 'time'; readonly wakes: number }
  | { readonly kind: 'upsert'; readonly table: Table; readonly row: AgingRow; readonly part: number }
  | { readonly kind: 'delete'; readonly table: Table; readonly id: string | number; readonly part: number }

function stepNear(near: number): fc.Arbitrary<Step> {
  const part = fc.double({ min: 0, max: 0.999, noNaN: true })
  const upsert = (table: Table, row: fc.Arbitrary<AgingRow>): fc.Arbitrary<Step> =>
    fc.record({ kind: fc.constant('upsert' as const), table: fc.constant(table), row, part })
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), wakes: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 3, arbitrary: upsert(deals, dealNear(near)) },
    { weight: 1, arbitrary: upsert(lines, lineNear(near)) },
    { weight: 1, arbitrary: upsert(companies, companyNear(near)) },
    {
      weight: 1,
      arbitrary: fc.oneof(
        fc.record({
          kind: fc.constant('delete' as const),
          table: fc.constantFrom(deals, lines),
          id: fc.integer({ min: 1, max: 9 }),
          part,
        }),
        fc.record({
          kind: fc.constant('delete' as const),
          table: fc.constant(companies),
          id: fc.constantFrom(...COMPANY_KEYS),
          part,
        }),
      ),
    },
  )
}

async function take(world: World, step: Step): Promise<void> {
  if (step.kind === 'time') {
    for (let wake = 0; wake < step.wakes && world.nextMs !== Infinity; wake += 1) {
      await world.goOn()
      await world.check()
    }
    return
  }
  // Somewhere before anything is due.
  const waits = world.nextMs === Infinity ? 0 : world.nextMs - 1 - world.nowMs
  world.nowMs += Math.floor(waits * step.part)
  if (step.kind === 'upsert') await world.change(upsertSql(step.table), [JSON.stringify([step.row])])
  else await world.change(`delete from ${quoteTable(step.table.id)} where id = $1`, [step.id])
  await world.check()
}

const lives = base.chain((near) =>
  fc.record({
    rows: rowsNear(near),
    startMs: momentNear(near),
    steps: fc.array(stepNear(near), { minLength: 4, maxLength: 12 }),
  }),
)

test('from due to due, with changes between, stored is from scratch, and nothing else was computed', async () => {
  await using database = await createTestDatabase('aging')
  const harness = await openHarness(database, graph, { tables })
  await fc.assert(
    fc.asyncProperty(lives, async ({ rows, startMs, steps }) => {
      await replaceRows(database, rows)
      await database.query('truncate rescore.features_company')
      const world = new World(database, harness, startMs)
      await world.load(COMPANY_KEYS)
      await world.check()
      for (const step of steps) await take(world, step)
    }),
    { numRuns: 25 },
  )
})
