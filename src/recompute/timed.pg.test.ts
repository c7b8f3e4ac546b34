/**
 * Inputs that know the time, over a real PostgreSQL and random rows around days on which clocks change: what SQL gives at
 * an instant is what plain JavaScript gives row by row, and what is due is due at the very millisecond.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { base, COMPANY_KEYS, graph, momentNear, replaceRows, rowsNear, tables } from '../../test/recompute/aging.ts'
import { Scratch } from '../../test/recompute/from-scratch.ts'
import { openHarness } from '../../test/recompute/harness.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { withTransaction } from '../db/pool.ts'
import { computeRow } from './compute.ts'
import { type LoadedRow, Loader } from './load.ts'
import { compileProgram } from './program.ts'
import { shadow } from './shadow.ts'

const YEAR_MS = 366 * 86_400_000

const node = graph.entities.get('company')
if (node === undefined) throw new Error('There is no company.')
const program = compileProgram(node)

const everything = { forced: program.all, needed: program.all }
const moments = base.chain((near) =>
  fc.tuple(
    rowsNear(near),
    fc.array(momentNear(near), { minLength: 1, maxLength: 4 }),
    fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 }),
  ),
)

function checkDue(scratch: Scratch, row: LoadedRow, nowMs: number, parts: readonly number[]): void {
  const { due } = computeRow(program, row, everything, true)
  expect(due.map(({ bit }) => bit)).toEqual(
    node?.features.map(({ bit }) => bit).filter((bit) => ((program.timed >> BigInt(bit)) & 1n) === 1n),
  )
  for (const { bit, dueMs } of due) {
    const basis = (ms: number) => scratch.basisOfFeature(bit, row.key, ms)
    const now = basis(nowMs)
    const until = dueMs ?? nowMs + 50 * YEAR_MS
    expect(until).toBeGreaterThan(nowMs)
    for (const part of parts) expect(basis(nowMs + Math.floor((until - 1 - nowMs) * part))).toBe(now)
    expect(basis(until - 1)).toBe(now)
    if (dueMs !== null) expect(basis(dueMs), `${node?.features[bit]?.feature.name} at ${dueMs}`).not.toBe(now)
  }
}

test('at any instant SQL gives what each row gives; nothing moves before what is due, and then something does', async () => {
  await using database = await createTestDatabase('timed')
  await openHarness(database, graph, { tables })
  const loader = new Loader(program)
  await fc.assert(
    fc.asyncProperty(moments, async ([rows, instants, parts]) => {
      await replaceRows(database, rows)
      await withTransaction(database.pool, { isolation: 'repeatable read' }, async (client) => {
        const scratch = await Scratch.read(client, program.node, COMPANY_KEYS)
        for (const nowMs of instants) {
          const loaded = await loader.load(client, program.all, COMPANY_KEYS, nowMs)
          for (const row of loaded.filter(({ exists }) => exists)) {
            const { values, failure } = computeRow(program, row, everything, true)
            expect(failure).toBeNull()
            const named = Object.fromEntries(program.features.map(({ node }, bit) => [node.feature.name, values[bit]]))
            expect(named).toEqual(scratch.valuesOf(row.key, nowMs))
            checkDue(scratch, row, nowMs, parts)
          }
        }
      })
    }),
    { numRuns: 120 },
  )
})

test('a plan computes at the time of the database', async () => {
  await using database = await createTestDatabase('timed_shadow')
  const harness = await openHarness(database, graph, { tables })
  harness.setNow(Date.parse('2024-03-31'))
  await database.query('insert into app.companies (id) values (1)')
  await harness.sweep()
  const timeOf = async () => {
    const { rows } = await database.query<{ ms: number }>(
      'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
    )
    return rows[0]?.ms ?? 0
  }
  const bit = program.features.findIndex(({ node }) => node.feature.name === 'period')
  const earliest = await timeOf()
  const [row] = await withTransaction(database.pool, { readOnly: true }, (client) =>
    shadow(client, program.node, [bit], ['1']),
  )
  const latest = await timeOf()
  expect(row?.before[bit]).toBe(JSON.stringify({ began: Date.parse('2024-03-31') }))
  const began = [earliest, latest].map((ms) => JSON.stringify({ began: Math.floor(ms / 21_600_000) * 21_600_000 }))
  expect(began).toContain(row?.after[bit])
})
