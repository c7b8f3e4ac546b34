/** What a tap is asked, in the words it knows, and what stops the connector because it cannot mend itself. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BudgetBook } from '../../src/connect/budget.ts'
import { checkConnector } from '../../src/connect/check.ts'
import { sourceContext } from '../../src/connect/context.ts'
import { record, Script, schema, state } from './harness.ts'
import { whyNoPython } from './python.ts'

describe.skipIf(whyNoPython !== undefined)('a tap is asked', () => {
  test('by --properties when it takes no --catalog, from then on at once', async () => {
    await using script = await Script.open([
      [],
      [schema, record(1), state({ at: 1 })],
      [schema, record(2), state({ at: 2 })],
    ])
    await script.pass()
    await script.pass()
    expect(script.seen().map(({ flags }) => flags.filter((flag) => /catalog|properties/.test(flag)))).toEqual([
      ['--catalog'],
      ['--properties'],
      ['--properties'],
    ])
    expect(await script.ids()).toEqual([1, 2])
  })

  test('without a catalog when it knows no discovery', async () => {
    await using script = await Script.open([[schema, record(1)]], { config: { discovers: 'refuses' } })
    await script.pass()
    expect(script.seen()[0]?.flags).toEqual(['--config'])
  })

  test('once for what it has: again only when its configuration changes', async () => {
    await using script = await Script.open([[schema, record(1)]])
    await script.pass()
    const file = join(script.folder, 'tap/discovered.json')
    const before = readFileSync(file, 'utf8')
    await script.pass()
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  test.each([
    ['ends well without a word', [[]], {}, 'CONNECT_TAP_SILENT', 'config'],
    ['has no such stream', [[schema]], { stream: { stream: 'invoices' } }, 'CONNECT_TAP_STREAM', 'config'],
    [
      'is refused when asked what it has',
      [[schema]],
      { config: { discovers: 'crashes' } },
      'CONNECT_TAP_REFUSED',
      'auth',
    ],
    [
      'keys its records otherwise',
      [[{ say: { type: 'SCHEMA', stream: 'orders', schema: {}, key_properties: ['id', 'line'] } }]],
      {},
      'CONNECT_TAP_KEY',
      'config',
    ],
    ['cannot be started', [[schema]], { tap: { command: ['/nowhere/tap-books'] } }, 'CONNECT_TAP_CONFIG', 'config'],
    ['has no Python', [[schema]], { tap: { python: '/nowhere/python3' } }, 'CONNECT_TAP_PYTHON', 'config'],
  ])('one that %s stops the connector by name', async (_, runs, options, code, kind) => {
    await using script = await Script.open(runs, options)
    await expect(script.pass()).rejects.toMatchObject({ code, kind })
  })

  test('at the start, so that what it does not have is told before anything runs', async () => {
    await using script = await Script.open([[schema]], { stream: { stream: 'invoices' } })
    const context = sourceContext(script.options(), new BudgetBook(), 'check')
    await expect(checkConnector(script.connector, context)).rejects.toThrow("no stream 'invoices'")
    expect(script.seen()).toEqual([])
  })
})
