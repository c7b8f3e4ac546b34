/** The connectors of web data pass the kit against fixtures made from the documentation of their sources. */
import { expect, test } from 'vitest'
import { type ConformanceSpec, lineText, runConformance } from '../../src/conformance/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { brregSpec } from './brreg.ts'
import { githubSpec } from './github.ts'
import { rdapSpec } from './rdap.ts'
import { trancoSpec } from './tranco.ts'

const SPECS: readonly ConformanceSpec[] = [brregSpec, rdapSpec(), trancoSpec(), githubSpec()]

test.each(SPECS.map((spec) => [spec.name, spec] as const))('the %s connector passes the kit', async (_, spec) => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(spec, { pool: database.pool })
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
  const left = lines.filter(({ result }) => result === 'not applicable').map(({ check }) => check)
  expect(left.filter((check) => check !== 'a state of the version before is read on').sort()).toEqual(
    Object.keys(spec.notApplicable ?? {}).sort(),
  )
})
