/** The linter is only worth what it catches: planted cases, run through the project's own configuration. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')

async function lint(source: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-lint-'))
  try {
    const config = JSON.parse(await readFile(join(root, 'biome.json'), 'utf8'))
    await writeFile(join(folder, 'biome.json'), JSON.stringify({ ...config, vcs: undefined, $schema: undefined }))
    await writeFile(join(folder, 'planted.ts'), source)
    const { stdout, stderr } = await run(join(root, 'node_modules/.bin/biome'), ['lint', '--error-on-warnings', '.'], {
      cwd: folder,
    }).catch((failed: { stdout: string; stderr: string }) => failed)
    return stdout + stderr
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('a promise nobody waits for is caught', async () => {
  const output = await lint('async function save(): Promise<void> {}\nexport function close(): void {\n  save()\n}\n')
  expect(output).toContain('noFloatingPromises')
})

test('a promise that is waited for is not', async () => {
  const output = await lint(
    'async function save(): Promise<void> {}\nexport async function close(): Promise<void> {\n  await save()\n}\n',
  )
  expect(output).not.toContain('noFloatingPromises')
})

test('any is caught', async () => {
  expect(await lint('export function read(value: any): string {\n  return String(value)\n}\n')).toContain(
    'noExplicitAny',
  )
})
