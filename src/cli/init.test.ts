import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { isRescoreError } from '../errors.ts'
import { initCommand, needsNpmrc, packageName } from './init.ts'
import { dependencyOn } from './init-dependency.ts'

const execute = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')

let folder = ''
beforeEach(async () => {
  vi.stubEnv('npm_config_user_agent', 'npm/11.19.1 node/v24.21.0 linux x64 workspaces/false')
  folder = await mkdtemp(join(tmpdir(), 'rescore-init-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

async function init(...args: string[]) {
  let output = ''
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text)
    return true
  })
  try {
    await initCommand().parseAsync([...args, '--json'], { from: 'user' })
  } finally {
    write.mockRestore()
  }
  return JSON.parse(output)
}

const FILES = [
  '.gitignore',
  'README.md',
  'connectors/crm.ts',
  'features/company.ts',
  'models/size/make.py',
  'models/size/manifest.json',
  'models/size/model.onnx',
  'models/size/model.ts',
  'models/size/parity.json',
  'package.json',
  'rescore.config.ts',
  'test/company.test.ts',
  'tsconfig.json',
]

test('the project made is whole, named after its folder, and passes this project’s own lint', async () => {
  const project = join(folder, 'My Project')
  const made = await init(project, '--rescore', '1.2.3')
  expect(made).toMatchObject({ folder: project, name: 'my-project', rescore: '1.2.3', files: FILES })
  const read = (file: string) => readFile(join(project, file), 'utf8')
  expect(JSON.parse(await read('package.json'))).toMatchObject({
    name: 'my-project',
    dependencies: { rescore: '1.2.3' },
    allowScripts: { node: true, 'onnxruntime-node': false },
  })
  expect(await read('README.md')).toMatch(/^# my-project\n/)
  expect(await readFile(join(project, 'models/size/model.onnx'))).toEqual(
    await readFile(join(root, 'src/cli/templates/models/size/model.onnx')),
  )
  const biome = JSON.parse(await readFile(join(root, 'biome.json'), 'utf8'))
  await writeFile(join(project, 'biome.json'), JSON.stringify({ ...biome, vcs: undefined, $schema: undefined }))
  const lint = ['check', '--error-on-warnings', 'connectors', 'features', 'models', 'test', 'rescore.config.ts']
  await execute(join(root, 'node_modules/.bin/biome'), lint, { cwd: project })
})

test('a folder that holds anything is refused and left as it is; a fresh git folder is not', async () => {
  const mine = join(folder, 'package.json')
  await writeFile(mine, 'mine')
  const refused = await init(folder).catch((error: unknown) => error)
  expect(isRescoreError(refused) && refused.code).toBe('CLI_NOT_EMPTY')
  expect(await readFile(mine, 'utf8')).toBe('mine')

  await rm(mine)
  await mkdir(join(folder, '.git'))
  expect((await init(folder)).files).toEqual(FILES)
})

test('an npm that does not read allowScripts gets the .npmrc that keeps CUDA away', async () => {
  const agents = [
    'npm/10.8.2 node/v22.1.0',
    'npm/11.15.0 node/v24.0.0',
    'npm/11.16.0 node/v24.0.0',
    'npm/12.2.0 node/v26',
  ]
  expect(agents.map(needsNpmrc)).toEqual([true, true, false, false])
  vi.stubEnv('npm_config_user_agent', undefined)
  expect((await init(folder)).files).toEqual([...FILES, '.npmrc'].sort())
  expect(await readFile(join(folder, '.npmrc'), 'utf8')).toContain('onnxruntime-node-install=skip')
})

test.each([
  ['/somewhere/Größe & Co.', 'gr-e-co.'],
  ['/somewhere/_private-', 'private'],
  ['/somewhere/日本', 'rescore-project'],
  ['/somewhere/rescore', 'rescore-project'],
])('the folder %s becomes the package %s', (path, name) => {
  expect(packageName(path)).toBe(name)
})

describe('a new project depends on what runs now', () => {
  async function installed(resolved: string): Promise<string> {
    const home = join(folder, 'node_modules', 'rescore')
    await mkdir(home, { recursive: true })
    const lock = { packages: { 'node_modules/rescore': { version: '0.1.0', resolved } } }
    await writeFile(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify(lock))
    return home
  }

  test('the version, when it came from the registry', async () => {
    const home = await installed('https://registry.npmjs.org/rescore/-/rescore-0.1.0.tgz')
    expect(await dependencyOn(home, '0.1.0', undefined)).toEqual({ spec: '0.1.0', before: [] })
  })

  test('the version, when another package manager installed it', async () => {
    const home = join(folder, 'node_modules', 'rescore')
    expect(await dependencyOn(home, '0.1.0', undefined)).toEqual({ spec: '0.1.0', before: [] })
  })

  test('the tarball, when it came from one', async () => {
    const home = await installed('file:../packs/rescore-0.1.0.tgz')
    const { spec } = await dependencyOn(home, '0.1.0', undefined)
    expect(spec).toBe(`file:${resolve(folder, '../packs/rescore-0.1.0.tgz')}`)
  })

  test('the tarball to be packed, in a clone', async () => {
    const unpacked = await dependencyOn(folder, '0.1.0', undefined)
    expect(unpacked.spec).toBe(`file:${join(folder, 'rescore-0.1.0.tgz')}`)
    expect(unpacked.before).toEqual([expect.stringMatching(/^npm pack /)])
    await writeFile(join(folder, 'rescore-0.1.0.tgz'), '')
    expect((await dependencyOn(folder, '0.1.0', undefined)).before).toEqual([])
  })

  test('what was asked for, a relative file read from the working folder', async () => {
    expect((await dependencyOn(folder, '0.1.0', '^0.2.0')).spec).toBe('^0.2.0')
    expect((await dependencyOn(folder, '0.1.0', 'file:./r.tgz')).spec).toBe(`file:${resolve('r.tgz')}`)
  })
})
