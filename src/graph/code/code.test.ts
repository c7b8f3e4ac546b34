/** What of a project's code belongs to a feature, and what does not. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { reachOf, readSources } from './reach.ts'

type Files = Readonly<Record<string, string>>

/** Code of the feature whose compute prints itself so; the configuration is config.ts, or config.js. */
async function codeOf(files: Files, compute: string, feature = 'size'): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-code-'))
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    return reachOf(readSources(join(folder, 'config.ts' in files ? 'config.ts' : 'config.js')), feature, compute)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const COMPUTE = '({ n }) => scale(n) + OFFSET'
const BASE: Files = {
  'config.ts': `
    import { defineFeature } from 'rescore'
    import { scale } from './scale.ts'
    import type { Row } from './rows.ts'
    const OFFSET: number = 1
    const unused = 7
    export const size = defineFeature({ name: 'size', description: 'a', compute: ${COMPUTE} })
    export const other = defineFeature({ name: 'other', compute: ({ n }) => n + unused })`,
  'scale.ts': `import { rate } from './rate.ts'\nexport function scale(n: number): number { return n * rate.no }\nexport const far = 2`,
  'rate.ts': `export const rate = { no: 3 }`,
  'rows.ts': `export interface Row { readonly n: number }`,
}

async function isToldOf(change: Files, before: Files = BASE, compute = COMPUTE, feature = 'size'): Promise<boolean> {
  const [one, other] = [
    await codeOf(before, compute, feature),
    await codeOf({ ...before, ...change }, compute, feature),
  ]
  expect(one).not.toBeNull()
  return one !== other
}

const edited = (name: string, from: string, to: string, files: Files = BASE): Files => {
  const text = files[name] ?? ''
  expect(text).toContain(from)
  return { [name]: text.replace(from, to) }
}

test.each([
  ['a constant of its own file', edited('config.ts', 'number = 1', 'number = 2')],
  ['an imported function', edited('scale.ts', 'n * rate.no', 'n / rate.no')],
  ['what that imports in turn', edited('rate.ts', 'no: 3', 'no: 4')],
  ['where a name is imported from', edited('scale.ts', `from './rate.ts'`, `from 'rates'`)],
])('%s is told of', async (_, change) => {
  expect(await isToldOf(change)).toBe(true)
})

test.each([
  [
    'a comment, a line break, quotes',
    { 'rate.ts': `// three\nexport const rate =\n  { "no": 3 }`.replace('"no"', 'no') },
  ],
  ['a type, its name, an annotation', edited('scale.ts', '(n: number): number', '(n: bigint | number)')],
  ['what is said about it', edited('config.ts', `'a'`, `'b'`)],
  ['another feature, and what only that reads', edited('config.ts', 'unused = 7', 'unused = 8')],
  ['an export beside', edited('scale.ts', 'far = 2', 'far = 3')],
])('%s is not told of', async (_, change) => {
  expect(await isToldOf(change)).toBe(false)
})

test('a parameter that is named like something else is not that', async () => {
  const files = {
    'config.ts': `const n = 5\nconst m = defineFeature({ name: 'm', compute: () => n })
      export const size = defineFeature({ name: 'size', inputs: { m }, compute: ({ m }) => m })`,
  }
  expect(await isToldOf(edited('config.ts', 'n = 5', 'n = 6', files), files, '({ m }) => m')).toBe(false)
  expect(await isToldOf(edited('config.ts', 'n = 5', 'n = 6', files), files, '() => n', 'm')).toBe(true)
})

const FACTORY: Files = {
  'factory.ts': `import { defineFeature } from 'rescore'
    export function times(name: string, description: string, { by, plus = 0 }: { by: number; plus?: number }) {
      const factor = by * 2
      return defineFeature({ name, description, compute: ({ n }) => n * factor + plus })
    }`,
  'index.ts': `export * from './factory.ts'`,
  'config.ts': `import { times } from './index.ts'
    const two = 2
    export const size = times('size', 'said', { by: two, plus: 1 })
    export const other = times('other', 'said', { by: 9, plus: 1 })`,
}

test.each([
  ['its factor', edited('config.ts', 'two = 2', 'two = 3', FACTORY), true],
  ['its own argument', edited('config.ts', `by: two, plus: 1`, `by: two, plus: 2`, FACTORY), true],
  ['how the factory computes', edited('factory.ts', 'by * 2', 'by * 3', FACTORY), true],
  ['what is said of it', edited('config.ts', `'size', 'said'`, `'size', 'told'`, FACTORY), false],
  ['another one from the same factory', edited('config.ts', 'by: 9', 'by: 8', FACTORY), false],
])('a feature from a factory: %s', async (_, change, isTold) => {
  expect(await isToldOf(change, FACTORY, '({ n }) => n * factor + plus')).toBe(isTold)
})

const LISTED: Files = {
  'config.ts': `import { rates } from './rates.ts'
    export const all = rates.map(([name, by]) => defineFeature({ name, compute: ({ n }) => n * by }))`,
  'rates.ts': `export const rates = [['size', 2], ['other', 3]]`,
}

test('features made from a list follow the list', async () => {
  expect(await isToldOf(edited('rates.ts', '3', '4', LISTED), LISTED, '({ n }) => n * by')).toBe(true)
})

test('where it cannot be told what a name holds, the module counts as a whole', async () => {
  const files = {
    'config.ts': `let by = 2\nif (true) by = 3\nconst far = 1\nexport const f = { name: 'size', compute: () => by }`,
  }
  expect(await isToldOf(edited('config.ts', 'by = 3', 'by = 4', files), files, '() => by')).toBe(true)
  const filled = { 'config.ts': `const by = {}\nby.no = 3\nexport const f = { name: 'size', compute: () => by.no }` }
  expect(await isToldOf(edited('config.ts', 'by.no = 3', 'by.no = 4', filled), filled, '() => by.no')).toBe(true)
  const json = {
    'config.ts': `import rates from './rates.json' with { type: 'json' }\nexport const f = { name: 'size', compute: () => rates.no }`,
    'rates.json': '{"no": 1}',
  }
  expect(await isToldOf({ 'rates.json': '{"no": 2}' }, json, '() => rates.no')).toBe(true)
})

test('compiled code is the same code', async () => {
  const compiled = {
    'config.js': `import { defineFeature } from "rescore";\nimport { scale } from "./scale.js";\nconst OFFSET = 1;
export const size = defineFeature({ name: "size", description: "a", compute: ({ n }) => scale(n) + OFFSET });`,
    'scale.js': `import { rate } from "./rate.js";\nexport function scale(n) {\n    return n * rate.no;\n}`,
    'rate.js': `export const rate = { no: 3 };`,
  }
  expect(await codeOf(compiled, COMPUTE)).toBe(await codeOf(BASE, COMPUTE))
})

test('what is not in the project is not found there', async () => {
  expect(await codeOf(BASE, '({ n }) => n ** 3')).toBeNull()
  expect(await codeOf(BASE, 'function () { [native code] }')).toBeNull()
  expect(await codeOf({ 'config.ts': 'this is no code' }, COMPUTE)).toBeNull()
})
