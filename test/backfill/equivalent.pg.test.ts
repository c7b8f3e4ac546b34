/** Edits under a version: told until they are answered for. */
import { expect, test } from 'vitest'
import type { ProjectConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { readCatalog } from '../../src/observe/catalog.ts'
import { readStatus } from '../../src/observe/status.ts'
import { markEquivalent } from '../../src/plan/equivalent.ts'
import { calm, startIn } from '../chaos/running.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { nextRelease } from './setting.ts'

async function mark({ pool }: TestDatabase, config: ProjectConfig, features: readonly string[], sample = 1_000) {
  const node = compileGraph(config).entities.get('company')
  if (node === undefined) throw new TypeError('The test project has companies.')
  const { signal } = new AbortController()
  return await markEquivalent({ pool, node, features, sample, markedBy: 'anna', signal })
}

async function editOf({ pool }: TestDatabase, config: ProjectConfig, name: string) {
  const found = (await readCatalog(pool, compileGraph(config))).find(({ feature }) => feature === name)
  return found?.edit
}

test('an edit stays visible until somebody says that it is equivalent, which the sample may refuse', async () => {
  await using database = await createTestDatabase('equivalent')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
  }
  const same = nextRelease('visits', { compute: ({ count }) => Number(count) + 0 }, 10)
  for (let start = 0; start < 2; start += 1) {
    await using running = await startIn(database, same)
    expect(running.failures.join()).toContain('FEATURE_CODE_CHANGED: The code of company.visits')
    expect((await readStatus(database.pool)).edited).toEqual(['company.visits'])
    expect(await editOf(database, same, 'visits')).toBe('unanswered')
  }
  const other = nextRelease('visits', { compute: ({ count }) => Number(count) + 1 }, 10)
  await expect(mark(database, other, ['visits'])).rejects.toMatchObject({
    code: 'FEATURE_NOT_EQUIVALENT',
    message: expect.stringMatching(/have another visits, such as \S+: \d+ -> \d+/),
  })
  await expect(mark(database, same, ['stars'])).rejects.toMatchObject({ code: 'FEATURE_NOT_EDITED' })
  expect(await mark(database, same, ['visits'])).toMatchObject({ features: [{ feature: 'visits', version: 1 }] })
  expect(await editOf(database, same, 'visits')).toBe('equivalent')
  {
    await using running = await startIn(database, same)
    expect(running.failures).toEqual([])
    expect((await readStatus(database.pool)).edited).toEqual([])
  }
  // Said of that code alone.
  expect(await editOf(database, other, 'visits')).toBe('unanswered')
  const { rows } = await database.query('select feature, version, marked_by from rescore.equivalent')
  expect(rows).toEqual([{ feature: 'visits', version: 1, marked_by: 'anna' }])
  expect(await mark(database, other, [], 0)).toMatchObject({ tried: 0, features: [{ feature: 'visits' }] })
})
