/** Connectors as `rescore connector new` writes them pass the conformance kit against their own fixtures, unchanged. */
import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { type ConformanceSpec, lineText, runConformance } from '../../src/conformance/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject, type Project } from './project.ts'

const root = resolve(import.meta.dirname, '../..')

/** In a project these names lead to the package. */
const SOURCES = {
  "'rescore'": `'${root}/src/define/index.ts'`,
  "'rescore/conformance'": `'${root}/src/conformance/index.ts'`,
}

async function specOf({ folder }: Project, name: string): Promise<ConformanceSpec> {
  for (const part of ['', '.fixture', '.conformance']) {
    const file = join(folder, `connectors/${name}${part}.ts`)
    let text = await readFile(file, 'utf8')
    for (const [from, to] of Object.entries(SOURCES)) text = text.replaceAll(from, to)
    await writeFile(file, text)
  }
  const loaded = await import(pathToFileURL(join(folder, `connectors/${name}.conformance.ts`)).href)
  return loaded.default
}

/** Those that how a list is paged, asked for changes and signed in to can break. */
const PARTS = [
  'its own check',
  'everything arrives',
  'a second run',
  'killed at',
  'to: 500',
  'a token that ends',
  'a refused credential',
  'while pages are read',
  'larger than a page',
  'a deleted record',
  'a restored record',
  'erased for privacy',
  'poison',
  'NUL, emoji',
]

test.each([
  ['tasks.yaml', ['a token that ends in the middle of a run']],
  ['repositories.json', ['a token that ends in the middle of a run']],
  ['people.yaml', ['a token that ends in the middle of a run']],
  ['accounts.yaml', []],
  ['invoices.yaml', ['a token that ends in the middle of a run']],
])('%s', async (file, notApplicable) => {
  await using project = await createProject()
  await using database = await createTestDatabase('rescore_conformance')
  await project.begin('acme', '--from', join(import.meta.dirname, file))
  const lines = await runConformance(await specOf(project, 'acme'), { pool: database.pool, only: PARTS })
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
  expect(lines.filter(({ result }) => result === 'not applicable').map(({ check }) => check)).toEqual(notApplicable)
})

test('the blank one passes all of it', async () => {
  await using project = await createProject()
  await using database = await createTestDatabase('rescore_conformance')
  await project.begin('acme', '--blank')
  const lines = await runConformance(await specOf(project, 'acme'), { pool: database.pool })
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
  expect(lines.filter(({ result }) => result === 'not applicable').map(({ check }) => check)).toEqual([
    'a token that ends in the middle of a run',
    'a merged record lives on as another',
    'a state of the version before is read on',
  ])
})
