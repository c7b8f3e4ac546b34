/**
 * The package as a user meets it: packed, installed into an empty folder, a project made by `rescore init`, its own
 * checks, a classification, a change in the CRM that moves it, a clean stop and a resume. Every step is a command a user
 * types; nothing of this repository is on the path.
 */
import { existsSync, globSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { DEFAULT_TOKEN } from '../simulator/index.ts'
import { eventually } from '../support/eventually.ts'
import { Dev, run, userEnvironment } from './user.ts'

const root = resolve(import.meta.dirname, '../..')
const environment = userEnvironment()
const INSTALL = ['npm', 'install', '--prefer-offline', '--no-audit', '--no-fund'] as const

let folder = ''
let project = ''
let tarball = ''
let packed: readonly string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rescore-package-'))
  // As root the embedded PostgreSQL runs as another user, who has to get through.
  await chmod(folder, 0o755)
  const { stdout } = await run(root, environment, 'npm', 'pack', '--json', '--pack-destination', folder)
  const [pack] = JSON.parse(stdout)
  tarball = join(folder, pack.filename)
  packed = pack.files.map((file: { path: string }) => file.path)
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the package', () => {
  const sourcesOf = (...patterns: string[]) => globSync(patterns, { cwd: root })

  test('holds every migration, every template and what users import, typed', () => {
    expect(packed).toEqual(
      expect.arrayContaining([
        'bin/rescore.js',
        'bin/end-with-parent.js',
        'dist/src/cli/main.js',
        'dist/src/define/index.js',
        'dist/src/define/index.d.ts',
        'dist/src/conformance/index.js',
        'dist/src/conformance/index.d.ts',
        'dist/connectors/files/index.js',
        'dist/connectors/files/index.d.ts',
        'dist/connectors/hubspot/index.js',
        'dist/connectors/hubspot/index.d.ts',
        'dist/connectors/singer/index.js',
        'dist/connectors/singer/index.d.ts',
        'dist/src/connect/singer/python/guard.py',
        'dist/src/connect/singer/python/install.py',
        ...['brreg', 'domains', 'github', 'rdap', 'tranco'].map((name) => `dist/connectors/${name}/index.js`),
        ...sourcesOf('migrations/*.sql'),
      ]),
    )
    const templates = sourcesOf('src/cli/templates/**/*.*', 'src/cli/templates/dot-*').map((file) => `dist/${file}`)
    expect(templates.length).toBeGreaterThan(10)
    expect(packed).toEqual(expect.arrayContaining(templates))
  })

  test('holds no test, no note, no model of ours and no TypeScript that Node would refuse', () => {
    const allowed = /^(README\.md|LICENSE|package\.json|bin\/|migrations\/|dist\/(src|connectors|test\/simulator)\/)/
    expect(packed.filter((file) => !allowed.test(file))).toEqual([])
    expect(packed.filter((file) => /\.test\./.test(file) && !file.includes('/templates/'))).toEqual([])
    expect(packed.filter((file) => /\.[cm]?ts$/.test(file) && !file.endsWith('.d.ts'))).toEqual([])
  })

  test('holds nothing that an earlier compile left behind', () => {
    const compiled = packed.filter((file) => /^dist\/.*\.js$/.test(file))
    expect(compiled.length).toBeGreaterThan(50)
    const sources = compiled.map((file) => file.replace(/^dist\//, '').replace(/\.js$/, '.ts'))
    expect(sources.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })
})

describe('installed into an empty folder', () => {
  beforeAll(async () => {
    const empty = join(folder, 'empty')
    await mkdir(empty)
    // What the README says to set where no .npmrc does yet: without it onnxruntime-node downloads CUDA.
    await run(empty, { ...environment, ONNXRUNTIME_NODE_INSTALL: 'skip' }, ...INSTALL, tarball)
    const { stdout } = await run(empty, environment, 'npx', 'rescore', 'init', '../my-project', '--json')
    const made = JSON.parse(stdout)
    project = join(folder, 'my-project')
    expect(made).toMatchObject({ folder: project, rescore: `file:${tarball}` })
    await rm(empty, { recursive: true, force: true })
    const { stderr } = await run(project, environment, ...INSTALL)
    expect(stderr).toBe('')
  }, 240_000)

  test('the project made passes its own types and tests, and the types are those of its columns', async () => {
    const misspelt =
      "import { company } from './features/company.ts'\n\n// @ts-expect-error\nvoid company.columns.nmae\n"
    await writeFile(join(project, 'misspelt.ts'), misspelt)
    const { stdout } = await run(project, environment, 'npm', 'test')
    expect(stdout).toMatch(/pass 2\b/)
    await rm(join(project, 'misspelt.ts'))
  }, 60_000)

  test('a connector is begun, type checks, and is proved on a PostgreSQL of its own', async () => {
    await run(project, environment, 'npx', 'rescore', 'connector', 'new', 'acme', '--blank')
    await run(project, environment, 'npx', 'tsc')
    const only = ['--only', 'everything arrives', 'second run', 'secret']
    const { stdout } = await run(project, environment, 'npx', 'rescore', 'connector', 'test', 'acme', ...only, '--json')
    expect(JSON.parse(stdout).map(({ result }: { result: string }) => result)).toEqual(['pass', 'pass', 'pass'])
  }, 120_000)

  test('a company is classified, a change in the CRM moves it, and a stop is resumed', async () => {
    const rescore = async (...args: string[]) =>
      JSON.parse((await run(project, environment, 'npx', 'rescore', ...args, '--json')).stdout)
    const now = async (id: string) => (await rescore('explain', 'company', id)).now
    await using dev = new Dev(project, environment, 'npx', 'rescore')
    const { url, companies } = await dev.event('simulator')
    await dev.event('first-classification')
    await dev.event('ready')

    const id = await smallestCompany(String(url))
    await eventually(async () => expect(await now(id)).toMatchObject([{ model: 'size', label: 'small' }]))
    await hubspot(String(url), 'PATCH', `/${id}`, { properties: { numberofemployees: '5000' } })
    await eventually(async () => expect(await now(id)).toMatchObject([{ model: 'size', label: 'established' }]))

    const { classifications } = await rescore('status')
    const counts = classifications.map(({ count }: { count: number }) => count)
    expect(counts.reduce((sum: number, count: number) => sum + count, 0)).toBe(companies)
    expect(await rescore('verify', '--all')).toMatchObject({ entities: companies, differenceCount: 0 })
    await dev.interrupt()
    await dev.event('stopped')
    expect(existsSync(join(project, '.rescore/pg/postmaster.pid'))).toBe(false)

    await using again = new Dev(project, environment, join(project, 'node_modules/.bin/rescore'))
    await again.event('ready')
    expect(await now(id)).toMatchObject([{ model: 'size', label: 'established' }])
    expect(await rescore('verify', '--all')).toMatchObject({ entities: companies, differenceCount: 0 })
    expect(await again.interrupt()).toBe(0)
  }, 240_000)
})

const page = z.object({
  results: z.array(z.object({ id: z.string(), properties: z.object({ numberofemployees: z.coerce.number() }) })).min(1),
})

/** One call to the simulated portal's companies, as any HubSpot client makes it. */
async function hubspot(url: string, method: 'GET' | 'PATCH', path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${url}/crm/v3/objects/companies${path}`, {
    method,
    headers: { authorization: `Bearer ${DEFAULT_TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`HubSpot answered ${response.status}: ${await response.text()}`)
  return response.json()
}

async function smallestCompany(url: string): Promise<string> {
  const { results } = page.parse(await hubspot(url, 'GET', '?limit=100&properties=numberofemployees'))
  return results.reduce((smallest, company) =>
    company.properties.numberofemployees < smallest.properties.numberofemployees ? company : smallest,
  ).id
}
