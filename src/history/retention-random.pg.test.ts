/** Any past, folded at any times, against naive oracles: from its cut on nobody can tell the difference. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { applyRule, type PastRow, writePast } from '../../test/support/past.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { lookUp } from '../dataset/lookup.ts'
import { plant } from '../faults.ts'
import { readKnown } from './entity-history.ts'
import { formatInstant, type Instant, parseInstant } from './instant.ts'
import { beginOf, monthOf } from './months.ts'

const instant = (text: string) => parseInstant(text) ?? 0n

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase('retention_random')
})
afterAll(() => database[Symbol.asyncDispose]())

const KEYS = ['1', '2', '3']
const day = (nr: number): Instant => instant('2023-01-10') + BigInt(nr) * 10n * 86_400_000_000n

interface Written {
  readonly key: string
  readonly isEnd: boolean
  /** Tens of days since 2023-01-10. */
  readonly valid: number
  readonly recorded: number
  readonly values: Readonly<Record<string, number | null>>
}

const written: fc.Arbitrary<Written> = fc.record({
  key: fc.constantFrom(...KEYS),
  isEnd: fc.boolean(),
  valid: fc.nat(14),
  recorded: fc.nat(14),
  values: fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.oneof(fc.nat(99), fc.constant(null)), { minKeys: 1 }),
})

/** Begun by an insert, perhaps ended and begun anew. */
function rowsOf(all: readonly Written[]): readonly PastRow[] {
  const there = new Set<string>()
  return all.map(({ key, isEnd, valid, recorded, values }) => {
    const times = { key, validAt: formatInstant(day(valid)), recordedAt: formatInstant(day(recorded)) }
    if (there.has(key) && isEnd) {
      there.delete(key)
      return { ...times, op: 'delete' }
    }
    const op = there.has(key) ? 'update' : 'insert'
    there.add(key)
    return { ...times, op, to: values }
  })
}

/** The definition: of each feature the last row that counts, after the last that began or ended the entity. */
function oracle(rows: readonly PastRow[], key: string, at: Instant): Record<string, unknown> {
  const counting = rows.filter(
    (row) => row.key === key && instant(row.validAt) <= at && instant(row.recordedAt ?? row.validAt) <= at,
  )
  const life = counting.slice(
    Math.max(
      0,
      counting.findLastIndex(({ op }) => op !== 'update'),
    ),
  )
  const values: Record<string, unknown> = {}
  for (const { to = {}, validAt, recordedAt } of life) {
    for (const [name, value] of Object.entries(to)) {
      values[name] = { value, validAt, recordedAt }
    }
  }
  return values
}

let nr = 0
/** Written and folded in turns; then every key at every time that can still be asked for. */
async function differences(before: readonly Written[], after: readonly Written[], cuts: readonly number[]) {
  nr += 1
  const entity = `shop_${nr}`
  const rows = rowsOf([...before, ...after])
  await writePast(database, entity, rows.slice(0, before.length))
  let from = 0n
  for (const [index, cut] of cuts.toSorted((a, b) => a - b).entries()) {
    const now = day(cut)
    await applyRule(database, entity, now)
    from = beginOf(monthOf(now) - 1)
    if (index === 0) await writePast(database, entity, rows.slice(before.length))
  }
  // What came in after the last run is older than the cut, if it likes.
  await applyRule(database, entity, day(Math.max(...cuts)))
  const asked = KEYS.flatMap((key) => Array.from({ length: 16 }, (_, at) => ({ key, at: day(at), fields: [] })))
  const labels = asked.filter(({ at }) => at >= from)
  if (labels.length === 0) return []
  const { known } = await lookUp(database.pool, entity, labels)
  return labels.flatMap(({ key, at }, index) => {
    const found = [...(known[index]?.values ?? [])].map(([name, { value, validAt, recordedAt }]) => [
      name,
      { value, validAt: formatInstant(validAt), recordedAt: formatInstant(recordedAt) },
    ])
    const expected = Object.entries(oracle(rows, key, at))
    return JSON.stringify(found.sort()) === JSON.stringify(expected.sort()) ? [] : [{ key, at, found, expected }]
  })
}

test('any past, folded at any times while more comes in, tells the same at every instant from the cut on', async () => {
  const property = fc.asyncProperty(
    fc.array(written, { minLength: 3, maxLength: 12 }),
    fc.array(written, { maxLength: 6 }),
    fc.array(fc.nat(16), { minLength: 1, maxLength: 3 }),
    async (before, after, cuts) => {
      expect(await differences(before, after, cuts)).toEqual([])
    },
  )
  await fc.assert(property, { numRuns: 25, endOnFailure: true })
})

test('a correction that came later leaks in neither before nor after folding, unless the leak is planted', async () => {
  const one = { key: '1', isEnd: false }
  const rows = [
    { ...one, valid: 0, recorded: 0, values: { a: 1 } },
    { ...one, valid: 1, recorded: 8, values: { a: 2 } },
  ]
  expect(await differences(rows, [], [8])).toEqual([])
  using _ = plant('late-corrections-leak')
  expect(await differences(rows, [], [8])).not.toEqual([])
})

interface Labelled {
  readonly key: string
  readonly model: string
  readonly isEnd: boolean
  readonly source: number | null
  readonly scored: number
  readonly label: string
}

const labelled: fc.Arbitrary<Labelled> = fc.record({
  key: fc.constantFrom('1', '2'),
  model: fc.constantFrom('pair', 'other'),
  isEnd: fc.boolean(),
  source: fc.option(fc.nat(14)),
  scored: fc.nat(14),
  label: fc.constantFrom('quiet', 'busy', 'odd'),
})

async function writeLabels(entity: string, rows: readonly (Labelled & { readonly op: string })[]): Promise<void> {
  await database.query(
    `insert into rescore.classification_history
       (model, entity, key, op, to_label, to_probability, model_version, artifact_hash, features_lsn, source_at, scored_at)
     select u.model, $1, u.key, u.op, u.label, case when u.label is null then null else 0.5 end, '1', 'h', '0/1', u.source, u.scored
     from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])
       with ordinality as u(model, key, op, label, source, scored, nr) order by nr`,
    [
      entity,
      rows.map(({ model }) => model),
      rows.map(({ key }) => key),
      rows.map(({ op }) => op),
      rows.map(({ op, label }) => (op === 'delete' ? null : label)),
      rows.map(({ source }) => (source === null ? null : formatInstant(day(source)))),
      rows.map(({ scored }) => formatInstant(day(scored))),
    ],
  )
}

test('labels likewise: each model has at every instant the last word that was valid and written down by then', async () => {
  const property = fc.asyncProperty(
    fc.array(labelled, { minLength: 3, maxLength: 12 }),
    fc.array(fc.nat(16), { minLength: 1, maxLength: 2 }),
    async (all, cuts) => {
      nr += 1
      const entity = `labels_${nr}`
      const there = new Set<string>()
      const rows = all.map((row) => {
        const id = `${row.key} ${row.model}`
        const op = there.has(id) ? (row.isEnd ? 'delete' : 'update') : 'insert'
        if (op === 'delete') there.delete(id)
        else there.add(id)
        return { ...row, op }
      })
      await writeLabels(entity, rows)
      for (const cut of cuts.toSorted((a, b) => a - b)) await applyRule(database, entity, day(cut))
      const from = beginOf(monthOf(day(Math.max(...cuts))) - 1)
      for (const key of new Set(rows.map((row) => row.key))) {
        for (let at = 0; at <= 15; at += 1) {
          if (day(at) < from) continue
          const found = await readKnown(database.pool, entity, key, day(at)).then(
            ({ classifications }) => classifications.map(({ model, label }) => `${model} ${label}`),
            (error: { code?: string }) => [error.code].filter((code) => code !== 'CLI_UNKNOWN_ENTITY'),
          )
          const expected = ['other', 'pair'].flatMap((model) => {
            const last = rows.findLast(
              (row) => row.key === key && row.model === model && row.scored <= at && (row.source ?? 0) <= at,
            )
            return last === undefined || last.op === 'delete' ? [] : [`${model} ${last.label}`]
          })
          expect({ key, at, found }).toEqual({ key, at, found: expected })
        }
      }
    },
  )
  await fc.assert(property, { numRuns: 12, endOnFailure: true })
})
