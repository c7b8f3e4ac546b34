/**
 * A connector touches clock, randomness, network, processes and environment only through its context: otherwise a run cannot be
 * repeated, and the runtime's promises (budget, abort, redaction) do not hold. Read from the sources themselves.
 */
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

const FORBIDDEN: readonly (readonly [string, RegExp])[] = [
  ['the clock', /\bDate\.now\b|\bnew Date\(\s*\)|\bDate\(\s*\)|\bperformance\.now\b|\bprocess\.hrtime\b/],
  ['timers', /\b(setTimeout|setInterval|setImmediate)\b|node:timers/],
  ['randomness', /\bMath\.random\b|\brandom(UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b/],
  [
    'the network',
    /(?<![.\w])fetch\(|['"](node:)?(https?|net|tls|http2|dgram|dns)['"]|['"](undici|axios|got|node-fetch)['"]/,
  ],
  ['the environment', /\bprocess\.env\b/],
  ['processes', /['"](node:)?(child_process|cluster|worker_threads)['"]/],
]

/** file: what it may touch, and why. */
const ALLOWED: Readonly<Record<string, readonly [string, string]>> = {
  'connectors/hubspot/pages-ahead.ts': ['the network', 'its fetch is a parameter'],
  'connectors/hubspot/wire.ts': [
    'the network',
    'ends the calls of the official client, which are made inside context.call',
  ],
}

/** Comments may speak of anything. */
function code(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}

function touches(source: string): readonly string[] {
  return FORBIDDEN.filter(([, pattern]) => pattern.test(code(source))).map(([what]) => what)
}

test.each([
  ['const at = Date.now()', ['the clock']],
  ['const at = new Date()', ['the clock']],
  ['const at = new Date(record.updatedAt)', []],
  ['// Date.now() is for others', []],
  ['await sleep(); setTimeout(f, 1)', ['timers']],
  ['const id = randomUUID()', ['randomness']],
  ["import { request } from 'node:https'", ['the network']],
  ['const answer = await fetch(url)', ['the network']],
  ['const answer = await context.fetch(url)', []],
  ['const { TOKEN } = process.env', ['the environment']],
  ["import { spawn } from 'node:child_process'", ['processes']],
])('%s touches %j', (source, expected) => {
  expect(touches(source)).toEqual(expected)
})

test('connectors reach clock, randomness, network, processes and environment only through their context', () => {
  const files = globSync('connectors/**/*.ts', { cwd: root }).filter((file) => !/\.test\.ts$/.test(file))
  expect(files.length).toBeGreaterThan(5)
  const found = files.flatMap((file) =>
    touches(readFileSync(join(root, file), 'utf8'))
      .filter((what) => ALLOWED[file]?.[0] !== what)
      .map((what) => `${file} touches ${what}`),
  )
  expect(found).toEqual([])
})
