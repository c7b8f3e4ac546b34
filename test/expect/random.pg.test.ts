/** Random rules, random values: what the stage keeps is what the plainest code says, and verify agrees with both. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { withTransaction } from '../../src/db/pool.ts'
import { type AnyFeature, defineConfig, type Expectation } from '../../src/define/index.ts'
import { plant } from '../../src/faults.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { checkDefinitions } from '../../src/observe/verify/check-definitions.ts'
import { checkKeys } from '../../src/observe/verify/check-keys.ts'
import { company, feature, open } from '../recompute/small.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { compute, type Known } from './oracle.ts'

const KEYS = ['1', '2', '3']
/** Few, so that rules are broken and kept about as often. */
const value = fc.constantFrom(null, -40, -3, 0, 1, 2, 5, 7, 40, 1_000)
const bound = fc.integer({ min: -50, max: 50 })

const rules = fc
  .record(
    {
      notNull: fc.constant<true>(true),
      oneOf: fc.uniqueArray(fc.constantFrom(-3, 0, 1, 2, 5, 7, 40), { minLength: 1 }),
      min: bound,
      max: bound,
      maxDelta: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.record({ rel: fc.constantFrom(0.5, 2, 30) })),
      otherwise: fc.constantFrom('block' as const, 'block' as const, 'warn' as const, 'quarantine' as const),
    },
    { requiredKeys: ['otherwise'] },
  )
  .filter(({ otherwise: _, ...some }) => Object.keys(some).length > 0)

interface Step {
  readonly op: 'set' | 'gone' | 'word'
  readonly key: string
  readonly n?: number | null
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant('set' as const), key: fc.constantFrom(...KEYS), n: value }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('gone' as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('word' as const), key: fc.constantFrom(...KEYS) }) },
)

function featuresOf([first, second, third]: readonly Expectation[]): readonly AnyFeature[] {
  const { n } = company.columns
  const base = feature('a_base', { n }, ({ n }) => n, first === undefined ? {} : { expect: first })
  const twice = feature('b_twice', { base }, ({ base }) => (base === null ? null : Number(base) * 2), {
    ...(second === undefined ? {} : { expect: second }),
  })
  const both = feature('c_both', { base, twice }, ({ base, twice }) => Number(base) + Number(twice), {
    ...(third === undefined ? {} : { expect: third }),
  })
  return [base, twice, both]
}

async function stateOf(db: TestDatabase): Promise<Record<string, Known>> {
  const { rows } = await db.query<{ key: string; row: Known['row']; violations: Known['violations']; aside: string }>(
    `select k.key, (select json_build_object('a_base', a_base, 'b_twice', b_twice, 'c_both', c_both)
         from rescore.features_company f where f.key::text = k.key) as row,
       (select coalesce(json_object_agg(feature, rule || ' ' || effect || ' ' || value::text), '{}')
         from rescore.violation v where v.key = k.key) as violations,
       (select feature || case code when 'FEATURE_EXPECTATION' then '' else code end
         from rescore.quarantine q where q.key = k.key) as aside
     from unnest($1::text[]) as k(key)`,
    [KEYS],
  )
  return Object.fromEntries(rows.map(({ key, ...known }) => [key, known]))
}

async function differences(db: TestDatabase, features: readonly AnyFeature[]) {
  const graph = compileGraph(defineConfig({ features }))
  const node = graph.entities.get('company')
  if (node === undefined) throw new Error('There is no company.')
  return withTransaction(db.pool, { isolation: 'repeatable read', readOnly: true }, async (client) => {
    const { epochs } = await checkDefinitions(client, graph, [])
    const epoch = epochs.get('company') ?? 0
    const check = {
      client,
      node,
      models: [],
      knownModels: new Set<string>(),
      epoch,
      required: epoch,
      nowMs: Date.now(),
    }
    return (await checkKeys(check, KEYS)).found
  })
}

async function holds(expectations: readonly Expectation[], steps: readonly Step[]): Promise<void> {
  await using db = await createTestDatabase('expect')
  const features = featuresOf(expectations)
  const harness = await open(db, features)
  const known: Record<string, Known> = {}
  const rows = new Map<string, number | null>()
  const unknown = (): Known => ({ row: null, violations: {}, aside: null })
  for (const each of steps) {
    const entity = known[each.key] ?? unknown()
    known[each.key] = entity
    const n = each.n ?? null
    if (each.op === 'word') {
      // Nothing reads it.
      const { computed } = harness.stage.counters
      await harness.apply(
        await harness.exec(`update app.companies set word = coalesce(word, '') || 'x' where id = ${each.key}`),
      )
      expect(harness.stage.counters.computed).toBe(computed)
    } else if (each.op === 'gone') {
      await harness.apply(await harness.exec('delete from app.companies where id = $1', [each.key]))
      rows.delete(each.key)
      known[each.key] = unknown()
    } else {
      const isMoved = !rows.has(each.key) || rows.get(each.key) !== n
      await harness.apply(
        await harness.exec(
          'insert into app.companies (id, n) values ($1, $2) on conflict (id) do update set n = excluded.n',
          [each.key, n],
        ),
      )
      rows.set(each.key, n)
      if (isMoved) compute(entity, features, n)
    }
    const expected = Object.fromEntries(KEYS.map((key) => [key, known[key] ?? unknown()]))
    expect(await stateOf(db)).toEqual(expected)
    expect(await differences(db, features)).toEqual([])
  }
}

const runs = fc.tuple(fc.array(rules, { minLength: 1, maxLength: 3 }), fc.array(step, { minLength: 6, maxLength: 14 }))

test('whatever the rules and the values, what is stored, held back, put aside and told is what was declared', async () => {
  await fc.assert(
    fc.asyncProperty(runs, ([expectations, steps]) => holds(expectations, steps)),
    { numRuns: 25, endOnFailure: true },
  )
}, 180_000)

test('a blocked value that readers see is noticed', async () => {
  using _planted = plant('blocked-value-read')
  const [max, steps] = [
    [{ max: 10, otherwise: 'block' }] as const,
    [
      { op: 'set', key: '1', n: 7 },
      { op: 'set', key: '1', n: 40 },
    ] as const,
  ]
  await expect(holds(max, steps)).rejects.toThrow('to deeply equal')
})
