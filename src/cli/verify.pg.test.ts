/** The command on this repository's own project: its features and models, on a few companies. */
import { expect, test, vi } from 'vitest'
import { catchUp } from '../../test/support/catch-up.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { loadProject } from '../config.ts'
import { ensureSourceTables } from '../connect/source-tables.ts'
import { withTransaction } from '../db/pool.ts'
import { compileGraph } from '../graph/compile.ts'
import { createRecomputeStage } from '../recompute/stage.ts'
import { loadModels } from '../score/registry.ts'
import { createScoreStage } from '../score/stage.ts'
import { run } from './main.ts'

const { signal } = new AbortController()

/** Runs the command against `url`. */
async function command(url: string, ...argv: string[]): Promise<{ code: number; out: string }> {
  let out = ''
  vi.stubEnv('DATABASE_URL', url)
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text)
    return true
  })
  try {
    const code = (await run(argv, signal)) ?? Number(process.exitCode ?? 0)
    return { code, out }
  } finally {
    write.mockRestore()
    vi.unstubAllEnvs()
    process.exitCode = undefined
  }
}

test('rescore verify: 0 when all is well, 3 and a line for each difference when not, 2 for a contradiction', async () => {
  await using database = await createTestDatabase('cli_verify')
  const config = await loadProject(process.cwd())
  const graph = compileGraph(config)
  await withTransaction(database.pool, {}, (client) => ensureSourceTables(client, graph.tables))
  await database.query(`
    insert into hubspot.companies (id, name, numberofemployees, yc_tags) select i, 'c' || i, i * 3, 'AI;SaaS' from generate_series(1, 30) i;
    insert into hubspot.deals (id, amount, hs_is_closed, hs_is_closed_won) select i, i * 1.1, i % 2 = 0, i % 4 = 0 from generate_series(1, 60) i;
    insert into hubspot.company_deals select 1 + i % 30, i, 'HUBSPOT_DEFINED', t from generate_series(1, 60) i, generate_series(1, 2) t;
    insert into hubspot.company_property_history
      select i, 'numberofemployees', timestamptz '2024-01-01' + j * i * interval '1 day', i * j, 'CRM_UI' from generate_series(1, 30) i, generate_series(1, i % 4) j`)
  await using models = await loadModels(config.models)
  const report = () => undefined
  const stages = [createRecomputeStage({ graph, report, strict: true }), createScoreStage({ graph, models, report })]
  await catchUp(database.pool, stages)

  const clean = await command(database.url, 'verify', '--all')
  expect(clean).toMatchObject({ code: 0, out: expect.stringMatching(/^30 entities, .* recomputed: 0 differences/) })

  await database.query(`update rescore.features_company set n_deals = 77 where key = 7;
    update rescore.classification set label = E'\\u001b[31m' where key = '8' and model = 'risk'`)
  const wrong = await command(database.url, 'verify', '--all')
  expect(wrong.code).toBe(3)
  expect(wrong.out.split('\n')).toEqual([
    'feature-value  company 7 n_deals: Stored is 77; from scratch it is 2.',
    expect.stringMatching(/^label {2}company 8 risk: The label is '·\[31m'; from scratch it is '/),
    expect.stringMatching(/: 2 differences/),
    '',
  ])
  const asJson = await command(database.url, 'verify', '--sample', '30', '--json')
  expect(asJson.code).toBe(3)
  expect(JSON.parse(asJson.out)).toMatchObject({
    entities: 30,
    differenceCount: 2,
    differences: [{ kind: 'feature-value', entity: 'company', key: '7', what: 'n_deals', stored: 77, expected: 2 }, {}],
  })

  const error = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  expect((await command(database.url, 'verify', '--all', '--sample', '5')).code).toBe(2)
  error.mockRestore()
})
