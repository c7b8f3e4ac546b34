/** How a tap is started, held and ended: alone, with little to see, and with nothing left of it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { asError } from '../../src/errors.ts'
import { eventually } from '../support/eventually.ts'
import { isAlive, record, Script, schema } from './harness.ts'
import { whyNoPython } from './python.ts'

const HOLD = resolve(import.meta.dirname, 'hold.ts')
/** Stubborn to the last: neither it nor its child listens to SIGTERM. */
const STUBBORN = [{ ignore: 'SIGTERM' }, { spawn: true }]

function childOf(script: Script): number {
  return Number(readFileSync(join(script.folder, 'script/child'), 'utf8'))
}

describe.skipIf(whyNoPython !== undefined)('a tap ends', () => {
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

  test('though a daemon it left behind holds its output open', async () => {
    const refused = { stderr: 'CRITICAL 401 Client Error: Unauthorized' }
    await using script = await Script.open([
      [schema, record(1), { daemon: true }],
      [{ daemon: true }, refused, { exit: 1 }],
    ])
    try {
      expect(await script.pass()).toMatchObject({ written: 1 })
    } finally {
      process.kill(childOf(script), 'SIGKILL')
    }
    try {
      await expect(script.pass()).rejects.toMatchObject({ kind: 'auth' })
    } finally {
      process.kill(childOf(script), 'SIGKILL')
    }
  })

  test('as soon as what it says is of no use', async () => {
    const batch = { say: { type: 'BATCH', stream: 'orders', encoding: {}, manifest: [] } }
    await using script = await Script.open([[schema, batch, { hang: true }]])
    await expect(script.pass()).rejects.toMatchObject({ code: 'CONNECT_TAP_BATCH', kind: 'config' })
    await eventually(() => expect(isAlive(script.seen()[0]?.pid ?? 0)).toBe(false))
  })
})

describe.skipIf(whyNoPython !== undefined)('a tap runs', () => {
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
