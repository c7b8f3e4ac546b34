/** Holds the walls of the house: which folder may import which, read from the import statements themselves. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const IMPORT = /(?:^|\n)\s*(?:import|export)\s+(type\s+)?[^'"]*?from\s+'([^']+)'|import\('([^']+)'\)/g

interface Import {
  readonly file: string
  readonly target: string
  readonly typeOnly: boolean
}

function importsOf(file: string, source: string): Import[] {
  return [...source.matchAll(IMPORT)].map((match) => {
    const target = match[2] ?? match[3] ?? ''
    const local = target.startsWith('.') ? relative(root, join(root, dirname(file), target)) : target
    return { file, target: local, typeOnly: match[1] !== undefined }
  })
}

const files = ['src', 'connectors', 'features', 'models'].flatMap((folder) =>
  globSync(`${folder}/**/*.ts`, { cwd: root }).filter((file) => !/\.test\.ts$/.test(file)),
)
const imports = files.flatMap((file) => importsOf(file, readFileSync(join(root, file), 'utf8')))

const inside = (folder: string) => (entry: Import) => entry.file.startsWith(`${folder}/`)
const show = (entries: readonly Import[]) => entries.map((entry) => `${entry.file} imports ${entry.target}`)

/** Folders of src a folder may import besides itself and src/errors.ts. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  define: [],
  graph: ['define'],
  db: [],
  connect: ['define', 'db', 'copy'],
  // What is kept of a record, wherever the parts keep it.
  erase: ['graph', 'define', 'db', 'connect'],
  // Tables of another PostgreSQL: read as capture reads those of this one.
  copy: ['define', 'db', 'log', 'capture'],
  conformance: ['define', 'db', 'connect'],
  log: ['db'],
  capture: ['graph', 'define', 'db', 'log'],
  recompute: ['graph', 'define', 'db', 'log'],
  score: ['graph', 'define', 'db', 'log'],
  // A pure fold, and what feeds it; what a cause is, the contract of the stages says.
  history: ['graph', 'define', 'db', 'log'],
  dataset: ['graph', 'define', 'db', 'history'],
  backfill: ['graph', 'define', 'db', 'log', 'recompute'],
  timer: ['db', 'log', 'recompute'],
  plan: ['graph', 'define', 'db', 'backfill', 'recompute', 'score'],
  // What it writes to a source draws from the budgets of that source's connector.
  deliver: ['graph', 'define', 'db', 'connect'],
}

test('the reader of imports sees them all', () => {
  const found = importsOf(
    'src/a/b.ts',
    "import type { A } from '../c/d.ts'\nimport x from 'pg'\nexport * from './e.ts'\nconst y = await import('../f.ts')\n",
  )
  expect(found.map((entry) => [entry.target, entry.typeOnly])).toEqual([
    ['src/c/d.ts', true],
    ['pg', false],
    ['src/a/e.ts', false],
    ['src/f.ts', false],
  ])
})

test.each(Object.entries(ALLOWED))('src/%s imports only what it may', (folder, allowed) => {
  const wrong = imports.filter(inside(`src/${folder}`)).filter(({ target }) => {
    if (!target.startsWith('src/') && !/^(connectors|features|models|test|bench)\//.test(target)) return false
    if (['src/errors.ts', 'src/faults.ts'].includes(target) && folder !== 'define') return false
    return ![folder, ...allowed].some((name) => target.startsWith(`src/${name}/`))
  })
  expect(show(wrong)).toEqual([])
})

test.each([
  ['kafkajs', 'src/log/kafka'],
  ['pg-logical-replication', 'src/capture'],
  ['pg', 'src/db'],
  ['@hubspot/api-client', 'connectors/hubspot'],
  ['onnxruntime-node', 'src/score'],
  ['prom-client', 'src/observe'],
  ['yaml', 'src/cli/openapi'],
  ['acorn', 'src/graph/code'],
  ['eslint-scope', 'src/graph/code'],
  ['csv-parse/sync', 'connectors/files'],
  ['csv-parse', 'src/dataset'],
  ['temporal-polyfill', 'src/define'],
  ['hyparquet', 'src/dataset'],
  ['hyparquet-writer', 'src/dataset'],
  ['@aws-sdk/client-s3', 'src/dataset/s3'],
])('only one folder imports %s', (library, home) => {
  const wrong = imports.filter((entry) => entry.target === library && !entry.typeOnly && !inside(home)(entry))
  expect(show(wrong)).toEqual([])
})

test('the S3 client is loaded only where an address is one of S3', () => {
  const reaching = imports.filter(({ target, typeOnly }) => target.startsWith('src/dataset/s3/') && !typeOnly)
  const outside = reaching.filter((entry) => !inside('src/dataset/s3')(entry))
  expect(show(outside)).toEqual(['src/dataset/places.ts imports src/dataset/s3/place.ts'])
  expect(readFileSync(join(root, 'src/dataset/places.ts'), 'utf8')).toContain("await import('./s3/place.ts')")
})

test.each(['connectors', 'features', 'models'])('%s import only the words of src/define', (folder) => {
  const wrong = imports
    .filter(inside(folder))
    .filter(({ target }) => target.startsWith('src/') && !target.startsWith('src/define/'))
  expect(show(wrong)).toEqual([])
})
