/** What proves a new connector: the spec that `rescore connector test` reads, and a test that runs it. Pure. */
import type { Plan } from '../openapi/plan.ts'
import { type Entry, importOf, literal, render } from './code.ts'
import { CREDENTIAL } from './connector-file.ts'
import type { Words } from './words.ts'

const SECRETS = new Set(['token', 'password', 'key', 'clientSecret'])

export function specFile(plan: Plan, words: Words): string {
  const { access, name } = plan
  const given = CREDENTIAL[access.kind].map(
    ([option]): Entry => [option, SECRETS.has(option) ? 'secret' : literal('kit')],
  )
  const oauth: readonly Entry[] =
    access.kind !== 'oauth'
      ? []
      : [
          ...(access.grant === 'refresh-token' ? [['refreshToken', literal('kit-refresh-token')] as const] : []),
          ['tokenUrl', `\`\${url}/token\``],
        ]
  const options = plan.options.map(({ name: option }): Entry => [option, literal(option)])
  const sizes = plan.streams.map(({ paging }) => paging?.size?.value ?? 100)
  const pageSize = Math.max(...sizes)
  const usesSecret = access.kind !== 'none'
  const spec: readonly Entry[] = [
    ['name', literal(name)],
    [
      'connector',
      {
        arrow: usesSecret ? '({ url, secret })' : '({ url })',
        body: {
          call: words.connector,
          argument: { object: [...given, ...oauth, ...options, ['baseUrl', 'url']], short: true },
        },
      },
    ],
    ['fixture', words.fixture],
    ...(pageSize === 100 ? [] : [['pageSize', String(pageSize)] as const]),
  ]
  return [
    `/** What the conformance kit proves of this connector: rescore connector test ${name} */\n`,
    "import type { ConformanceSpec } from 'rescore/conformance'\n",
    importOf([words.fixture], `./${name}.fixture.ts`),
    importOf([words.connector], `./${name}.ts`),
    `\nexport default ${render({ object: spec }, 0, 20)} satisfies ConformanceSpec\n`,
  ].join('')
}

export function testFile({ name }: Plan): string {
  return `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineText, runConformance, withScratchDatabase } from 'rescore/conformance'
import spec from '../connectors/${name}.conformance.ts'

test('the connector passes every check of the conformance kit', async () => {
  const lines = await withScratchDatabase(process.env.DATABASE_URL, (pool) => runConformance(spec, { pool }))
  assert.deepEqual(lines.filter(({ result }) => result === 'fail').map(lineText), [])
})
`
}
