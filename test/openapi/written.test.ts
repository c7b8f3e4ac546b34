/** What `rescore connector new` writes: it type checks, passes the linter, says what was guessed, and never over anything. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createProject, lint, typeCheck } from './project.ts'

const sample = (file: string) => join(import.meta.dirname, file)

test('what is written type checks and passes the formatter and the linter of this project', async () => {
  await using project = await createProject()
  const documents = (await readdir(import.meta.dirname)).filter((file) => /\.(ya?ml|json)$/.test(file))
  expect(documents.length).toBeGreaterThan(4)
  for (const file of documents) {
    const { code, output } = await project.begin(`from-${file.split('.')[0]}`, '--from', sample(file))
    expect([code, output]).toEqual([null, expect.stringContaining('rescore connector test')])
  }
  await project.begin(
    'with-options',
    '--from',
    sample('tasks.yaml'),
    '--path',
    '/projects/{project_gid}/sections',
    '/tasks',
  )
  // A name that is also a word of the language and one of the SDK.
  await project.begin('new', '--blank')
  await project.begin('text', '--blank')
  await lint(project.folder)
  await typeCheck(project.folder)
}, 120_000)

test('names of a document never become code', async () => {
  await using project = await createProject()
  await project.begin('acme', '--from', sample('repositories.json'))
  const source = await readFile(join(project.folder, 'connectors/acme.ts'), 'utf8')
  expect(source).toContain(`'it\\'s a "name" */ with \${quotes}': text(),`)
  expect(source).not.toContain('__proto__')
})

test('the notes say what was guessed, what cannot be known and what was left out', async () => {
  await using project = await createProject()
  await project.begin('acme', '--from', sample('invoices.yaml'))
  const notes = await readFile(join(project.folder, 'connectors/acme.notes.md'), 'utf8')
  for (const part of [
    'Its key is `creditNoteNumber`',
    '`limit` is 100',
    '`budgets` is a guess',
    '`/events`: no field of its records was recognised',
  ]) {
    expect(notes).toContain(part)
  }
})

test('nothing is written over, not even in part', async () => {
  await using project = await createProject()
  await project.begin('acme', '--blank')
  const before = await readdir(project.folder, { recursive: true })
  await writeFile(join(project.folder, 'connectors/acme.ts'), 'mine')
  const { code, output } = await project.begin('acme', '--from', sample('tasks.yaml'))
  expect([code, output]).toEqual([1, expect.stringContaining('CLI_EXISTS')])
  expect(await readdir(project.folder, { recursive: true })).toEqual(before)
  expect(await readFile(join(project.folder, 'connectors/acme.ts'), 'utf8')).toBe('mine')
})

test.each([
  ['neither document nor --blank', ['acme']],
  ['both', ['acme', '--blank', '--from', 'x.json']],
  ['a name that is no schema', ['Acme CRM', '--blank']],
  ['a name whose schema is taken', ['rescore', '--blank']],
])('%s is a mistake of usage', async (_, args) => {
  await using project = await createProject()
  expect(await project.begin(...args)).toMatchObject({ code: 2, output: expect.stringContaining('CLI_USAGE') })
})
