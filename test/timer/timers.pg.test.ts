/** Whatever happens to rows and clocks: once nothing is left to do, what is stored is what it is from scratch just then. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { plant } from '../../src/faults.ts'
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
  tables,
  upsertSql,
} from '../recompute/aging.ts'
import { createTestDatabase } from '../support/pg.ts'
import { type Driven, openDriven } from './driven.ts'

const HOUR_MS = 3_600_000

const TABLES = { companies, deals, lines }

type Step =
  | { readonly does: 'put'; readonly what: keyof typeof TABLES; readonly row: AgingRow }
  | { readonly does: 'remove'; readonly key: string }
  | { readonly does: 'pass' | 'jump back'; readonly ms: number }
  | { readonly does: 'start anew' }

const put = (what: keyof typeof TABLES, row: fc.Arbitrary<AgingRow>): fc.Arbitrary<Step> =>
  row.map((one) => ({ does: 'put', what, row: one }))

const stepsNear = (near: number): fc.Arbitrary<readonly Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 2, arbitrary: put('companies', companyNear(near)) },
      { weight: 4, arbitrary: put('deals', dealNear(near)) },
      { weight: 2, arbitrary: put('lines', lineNear(near)) },
      { weight: 1, arbitrary: fc.constantFrom(...COMPANY_KEYS).map((key): Step => ({ does: 'remove', key })) },
      {
        weight: 7,
        arbitrary: fc
          .oneof(fc.constantFrom(1, 999, HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS), fc.integer({ min: 1, max: 40 * HOUR_MS }))
          .map((ms): Step => ({ does: 'pass', ms })),
      },
      { weight: 2, arbitrary: fc.constantFrom(1, 40, HOUR_MS).map((ms): Step => ({ does: 'jump back', ms })) },
      { weight: 1, arbitrary: fc.constant<Step>({ does: 'start anew' }) },
    ),
    { minLength: 12, maxLength: 30 },
  )

async function perform(driven: Driven, step: Step): Promise<void> {
  if (step.does === 'put') await driven.change(upsertSql(TABLES[step.what]), [JSON.stringify([step.row])])
  else if (step.does === 'remove') await driven.change('delete from app.companies where id = $1', [step.key])
  else if (step.does === 'pass') driven.nowMs += step.ms
  else if (step.does === 'jump back') driven.nowMs -= step.ms
  else {
    await driven.idle()
    await driven.restart()
  }
}

const histories = base.chain((near) => fc.tuple(momentNear(near), stepsNear(near)))

const isTrueAtAnyInstant = async ([beginMs, steps]: readonly [number, readonly Step[]]) => {
  await using database = await createTestDatabase('aging')
  await using driven = await openDriven(database, graph, tables, beginMs)
  for (const step of steps) {
    await perform(driven, step)
    await driven.idle()
    expect(await driven.check(), JSON.stringify(step)).toEqual([])
  }
}

test('at any instant, once nothing is left to do, what is stored is what it is from scratch', {
  timeout: 400_000,
}, async () => {
  await fc.assert(fc.asyncProperty(histories, isTrueAtAnyInstant), { numRuns: 10, endOnFailure: true })
})

test('a timer that is not written anew once it has fired is noticed', { timeout: 400_000 }, async () => {
  using _ = plant('timer-forgotten')
  const { failed, errorInstance } = await fc.check(fc.asyncProperty(histories, isTrueAtAnyInstant), {
    numRuns: 6,
    endOnFailure: true,
    seed: 1,
  })
  expect(failed).toBe(true)
  expect(String(errorInstance)).toMatch(/^AssertionError: .*to deeply equal \[\]/)
})
