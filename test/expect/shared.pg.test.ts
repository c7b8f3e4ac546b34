/** Workers that share the stage, as over Kafka: whatever their order, what they leave is what the rules say. */
import { expect, test } from 'vitest'
import { withTransaction } from '../../src/db/pool.ts'
import { defineConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import type { Change } from '../../src/log/log.ts'
import { inVisibleSnapshot } from '../../src/log/visibility.ts'
import { checkKeys } from '../../src/observe/verify/check-keys.ts'
import { createRecomputeStage } from '../../src/recompute/stage.ts'
import { batchOf } from '../recompute/harness.ts'
import { company, dealSum, feature, open } from '../recompute/small.ts'
import { createTestDatabase } from '../support/pg.ts'

const { n } = company.columns
const size = feature('size', { n }, ({ n }) => n, { expect: { max: 100, maxDelta: 30, otherwise: 'block' } })
const half = feature('half', { size }, ({ size }) => Number(size) / 2, {
  expect: { min: -2, otherwise: 'quarantine' },
})
const told = feature('told', { half, dealSum }, ({ half, dealSum }) => Number(half) + Number(dealSum), {
  expect: { oneOf: [1, 2, 3], otherwise: 'warn' },
})

test('workers with the same entities in hand leave exactly the violations there are', async () => {
  await using db = await createTestDatabase('expect')
  const features = [size, half, told, dealSum]
  const graph = compileGraph(defineConfig({ features }))
  const harness = await open(db, features)
  await harness.apply(await harness.exec('insert into app.companies select i, i from generate_series(1, 8) i'))
  // Of an entity the changes come in their order, to whichever worker; all of them see the newest row.
  const rounds: (readonly Change[])[] = []
  for (let round = 1; round <= 10; round += 1) {
    rounds.push(
      await harness.exec(
        `update app.companies set n = (id * ${round} * 37) % 211 - 60;
         insert into app.deals select ${round * 10} + i, i, i * ${round} % 3 from generate_series(1, 8) i`,
      ),
    )
  }
  const { signal } = new AbortController()
  await Promise.all(
    [0, 1, 2].map(async (worker) => {
      const stage = createRecomputeStage({ graph, report: () => undefined, strict: true })
      for (const changes of rounds) {
        const work = stage.plan({
          ...batchOf(changes.filter((_, index) => index % 3 === worker)),
          source: { topic: 'any', partition: worker },
        })
        if (work === null) throw new Error('There is something to do.')
        await inVisibleSnapshot({ pool: db.pool, signal, isShared: true }, [], (context) => stage.apply(work, context))
      }
    }),
  )
  const node = graph.entities.get('company')
  if (node === undefined) throw new Error('There is no company.')
  const keys = Array.from({ length: 8 }, (_, index) => String(index + 1))
  const found = await withTransaction(db.pool, { isolation: 'repeatable read', readOnly: true }, async (client) => {
    const check = { client, node, models: [], knownModels: new Set<string>(), epoch: 1, required: 1, nowMs: Date.now() }
    return (await checkKeys(check, keys)).found
  })
  expect(found).toEqual([])
  const { rows } = await db.query<{ effect: string }>('select distinct effect from rescore.violation order by effect')
  // Of each kind there is one, or the test would say little.
  expect(rows.map(({ effect }) => effect)).toEqual(['aside', 'held', 'stored'])
})
