/** Any past, joined in PostgreSQL and read back, against the definition. */
import { rm } from 'node:fs/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deployed, makeIn, rowsIn, temporaryFolder } from '../../test/support/datasets.ts'
import { plant } from '../faults.ts'

let folder = ''
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const KEYS = ['1', '2', '3']
const day = (nr: number) => `2024-01-${String(nr + 1).padStart(2, '0')}`
interface Written {
  readonly key: string
  readonly op: 'insert' | 'update' | 'delete'
  /** Numbers of days. */
  readonly valid: number
  readonly recorded: number
  readonly visits: number
}

const past: fc.Arbitrary<Written[]> = fc.array(
  fc.record({
    key: fc.constantFrom(...KEYS),
    op: fc.constantFrom('insert' as const, 'update' as const, 'delete' as const),
    valid: fc.nat(9),
    recorded: fc.nat(9),
    visits: fc.nat(1_000),
  }),
  { minLength: 4, maxLength: 14 },
)

/** Every key at every day, against the last row that counts; fails when the data set knows more, or less. */
async function isRight(rows: readonly Written[]): Promise<boolean> {
  await using database = await deployed(
    'dataset_random',
    rows.map(({ key, op, valid, recorded, visits }) => ({
      key,
      op,
      validAt: day(valid),
      recordedAt: day(recorded),
      ...(op === 'delete' ? {} : { to: { visits } }),
    })),
  )
  const asked = KEYS.flatMap((key) => Array.from({ length: 10 }, (_, nr) => ({ key, nr })))
  const list = ['shop,seen', ...asked.map(({ key, nr }) => `${key},${day(nr)}`)].join('\n')
  const name = database.name.replaceAll('_', '-')
  const made = await makeIn(database, folder, { name, list, features: ['visits'] })
  const found = (await rowsIn(made)).map(({ visits }) => visits)
  const expected = asked.map(({ key, nr }) => {
    const last = rows.findLast((row) => row.key === key && row.valid <= nr && row.recorded <= nr)
    return last === undefined || last.op === 'delete' ? null : BigInt(last.visits)
  })
  return JSON.stringify(found.map(String)) === JSON.stringify(expected.map(String))
}

test('any past, with corrections that came late, is joined without a leak; a planted leak is seen', async () => {
  const property = fc.asyncProperty(past, async (rows) => await isRight(rows))
  await fc.assert(property, { numRuns: 6, endOnFailure: true })
  using _ = plant('late-corrections-leak')
  expect(
    await isRight([
      { key: '1', op: 'insert', valid: 0, recorded: 0, visits: 1 },
      { key: '1', op: 'update', valid: 0, recorded: 5, visits: 2 },
      { key: '1', op: 'update', valid: 9, recorded: 9, visits: 3 },
    ]),
  ).toBe(false)
})
