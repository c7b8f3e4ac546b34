/** How a tap is started, held and ended: alone, with little to see, and with nothing left of it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BudgetBook } from '../../src/connect/budget.ts'
import { checkConnector } from '../../src/connect/check.ts'
import { sourceContext } from '../../src/connect/context.ts'
import { asError } from '../../src/errors.ts'
import { eventually } from '../support/eventually.ts'
import { isAlive, record, Script, schema, state } from './harness.ts'
import { whyNoPython } from './python.ts'

const reason = whyNoPython()
if (reason !== undefined) process.stderr.write(`${reason}\n`)
const HOLD = resolve(import.meta.dirname, 'hold.ts')
/** Stubborn to the last: neither it nor its child listens to SIGTERM. */
const STUBBORN = [{ ignore: 'SIGTERM' }, { spawn: true }]

function childOf(script: Script): number {
  return Number(readFileSync(join(script.folder, 'script/child'), 'utf8'))
}

describe.skipIf(reason !== undefined)('a tap ends', () => {
  test('with everything it started, when the run is aborted, whatever it ignores', async () => {
    const stop = new AbortController()
    await using script = await Script.open([[schema, record(1), ...STUBBORN, { hang: true }]], { signal: stop.signal })
    const pass = script.pass().then(
      () => 'ended well',
      (error: Error) => error.message,
    )
    const child = await eventually(() => childOf(script))
    stop.abort(new Error('enough'))
    expect(await pass).toBe('enough')
    const pids = [script.seen()[0]?.pid ?? 0, child]
    await eventually(() => expect(pids.map(isAlive)).toEqual([false, false]))
    await eventually(() => expect(existsSync(join(script.folder, 'tap/run'))).toBe(false))
  })

  test('when this process is killed, and what it made of its configuration is not lost', async () => {
    const rewritten = { rewrite: { refresh_token: 'second-token' } }
    await using script = await Script.open(
      [
        [rewritten, ...STUBBORN, { hang: true }],
        [schema, record(1)],
      ],
      {
        config: { refresh_token: 'first-token' },
      },
    )
    const [stream] = script.connector.streams
    if (stream === undefined || !('singer' in stream)) throw new Error('no Singer stream')
    writeFileSync(join(script.folder, 'config.json'), JSON.stringify(stream.singer.tap.config))
    const holder = spawn(process.execPath, [HOLD, script.folder], { stdio: 'inherit' })
    const exited = once(holder, 'exit')
    const child = await eventually(() => childOf(script))
    const pid = script.seen()[0]?.pid ?? 0
    expect([pid, child].map(isAlive)).toEqual([true, true])
    holder.kill('SIGKILL')
    await exited
    await eventually(() => expect([pid, child].map(isAlive)).toEqual([false, false]))
    await script.pass()
    expect(script.seen()[1]?.config.refresh_token).toBe('second-token')
    expect(await script.ids()).toEqual([1])
  })

  test('when it says nothing for too long, and is run again', async () => {
    await using script = await Script.open(
      [
        [schema, record(1), { hang: true }],
        [schema, record(2)],
      ],
      {
        tap: { stallMs: 1_500 },
        stream: { replication: { method: 'incremental' } },
      },
    )
    await expect(script.pass()).rejects.toMatchObject({ code: 'CONNECT_TAP_STALLED', kind: 'transient' })
    expect(isAlive(script.seen()[0]?.pid ?? 0)).toBe(false)
    await script.pass()
    expect(await script.ids()).toEqual([1, 2])
  })

  test('as soon as what it says is of no use', async () => {
    const batch = { say: { type: 'BATCH', stream: 'orders', encoding: {}, manifest: [] } }
    await using script = await Script.open([[schema, batch, { hang: true }]])
    await expect(script.pass()).rejects.toMatchObject({ code: 'CONNECT_TAP_BATCH', kind: 'config' })
    await eventually(() => expect(isAlive(script.seen()[0]?.pid ?? 0)).toBe(false))
  })
})

describe.skipIf(reason !== undefined)('a tap runs', () => {
  test('alone: two passes of one connector wait for each other', async () => {
    await using script = await Script.open([[schema, { alone: 0.4 }, record(1)]])
    await Promise.all([script.pass(), script.pass(), script.pass()])
    expect(script.seen()).toHaveLength(3)
  })

  test('no faster than its records are landed', async () => {
    const many = 200_000
    await using script = await Script.open([
      [schema, { repeat: many, steps: [record('%d', { title: 'x'.repeat(200) }), { mark: 'written' }] }],
    ])
    const written = () => Number(readFileSync(join(script.folder, 'script/written'), 'utf8'))
    let stopped = 0
    await expect(
      script.pass({
        beforeLand: async () => {
          let before = -1
          await eventually(
            () => {
              const now = written()
              const isStill = now === before
              before = now
              expect(isStill).toBe(true)
            },
            { everyMs: 250 },
          )
          stopped = before
          throw new Error('seen enough')
        },
      }),
    ).rejects.toThrow('seen enough')
    expect(stopped).toBeGreaterThan(0)
    expect(stopped).toBeLessThan(many / 4)
  })

  test('with a configuration only its owner can read, which is gone afterwards, and few variables', async () => {
    process.env.RESCORE_TEST_SECRET = 'not for taps'
    await using script = await Script.open([[schema, record(1)]], { tap: { env: { BOOKS_REGION: 'eu' } } })
    await script.pass()
    delete process.env.RESCORE_TEST_SECRET
    const [seen] = script.seen()
    expect(seen?.mode).toBe('0o100600')
    expect(existsSync(join(script.folder, 'tap/run'))).toBe(false)
    expect(seen?.environment).toEqual(expect.arrayContaining(['PATH', 'BOOKS_REGION']))
    expect(seen?.environment).not.toContain('RESCORE_TEST_SECRET')
  })

  test('with the configuration it rewrote, until the user changes theirs', async () => {
    const runs = [[schema, { rewrite: { token: 'token-two' } }, record(1)], [schema]]
    await using script = await Script.open(runs, { config: { token: 'token-one' } })
    await script.pass()
    await script.pass()
    const [stream] = script.connector.streams
    if (stream === undefined || !('singer' in stream)) throw new Error('no Singer stream')
    const changed = { ...stream.singer.tap.config, token: 'token-of-the-user' }
    Object.assign(stream.singer.tap, { config: changed })
    await script.pass()
    expect(script.seen().map(({ config }) => config.token)).toEqual(['token-one', 'token-two', 'token-of-the-user'])
  })

  test('without a secret of its configuration in any line, error or table', async () => {
    const spill = (token: string) => [
      { stderr: `INFO calling with ${token}` },
      { print: `debug: ${Buffer.from(token).toString('base64')}` },
      { stderr: `CRITICAL 500 for ${token}` },
    ]
    await using script = await Script.open(
      [
        [schema, { rewrite: { token: 'second-secret' } }, ...spill('first-secret'), { exit: 1 }],
        [schema, ...spill('second-secret'), record(1), { exit: 1 }],
      ],
      { config: { token: 'first-secret' } },
    )
    for (let run = 0; run < 2; run += 1) script.said.push(asError(await script.pass().catch((error) => error)).message)
    const { rows } = await script.database.query<{ text: string }>(
      `select t::text as text from rescore.connector_state t union all select t::text from rescore.connector_memory t
       union all select t::text from rescore.reject t union all select t::text from books.orders t`,
    )
    const texts = [...script.said, ...rows.map(({ text }) => text)].join('\n')
    for (const secret of ['first-secret', 'second-secret']) {
      expect(texts).not.toContain(secret)
      expect(texts).not.toContain(Buffer.from(secret).toString('base64'))
    }
    expect(texts).toContain('CRITICAL 500 for [secret]')
  })
})

describe.skipIf(reason !== undefined)('a tap is asked', () => {
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
