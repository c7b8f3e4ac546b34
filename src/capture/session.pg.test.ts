import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { setupOf } from '../../test/support/capture.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { isRetriableDbError, parseDatabaseUrl } from '../db/pool.ts'
import { PgoutputDecoder } from './pgoutput.ts'
import { openSession, type SessionOptions } from './session.ts'
import { ensureCapture } from './slot.ts'

async function prepared(): Promise<TestDatabase> {
  const db = await createTestDatabase('session')
  await db.query('create table public.t (id integer primary key)')
  await ensureCapture(db.pool, setupOf(db.name, ['public.t']))
  return db
}

function optionsFor(db: Pick<TestDatabase, 'name' | 'url'>, more: Partial<SessionOptions>): SessionOptions {
  return {
    connection: parseDatabaseUrl(db.url),
    slot: db.name,
    publication: db.name,
    signal: new AbortController().signal,
    statusEveryMs: 50,
    silenceMs: 0,
    confirmed: () => 0n,
    onMessage: () => undefined,
    onKeepAlive: () => undefined,
    ...more,
  }
}

test('a message that cannot be decoded ends the session cleanly, and nothing after it is handed over', async () => {
  await using db = await prepared()
  await db.query('insert into public.t select generate_series(1, 100)')
  const decoder = new PgoutputDecoder()
  let [handed, thrown] = [0, 0]
  const session = openSession(
    optionsFor(db, {
      onMessage: (message) => {
        handed += 1
        try {
          // B, R, then rows: the fifth message is cut, as a truncated buffer would be.
          decoder.decode(handed === 5 ? message.subarray(0, -1) : message)
        } catch (error) {
          thrown += 1
          throw error
        }
      },
    }),
  )
  await expect(session.ended).rejects.toMatchObject({ code: 'CAPTURE_DECODE', fate: 'stop' })
  expect({ handed, thrown }).toEqual({ handed: 5, thrown: 1 })
})

test('a session whose signal has aborted already never connects, and one that aborts gives the slot free', async () => {
  await using db = await prepared()
  await openSession(optionsFor(db, { signal: AbortSignal.abort(new Error('stopped')) })).ended
  const ending = new AbortController()
  const session = openSession(optionsFor(db, { signal: ending.signal }))
  const active = async () =>
    (await db.query('select active from pg_replication_slots where slot_name = $1', [db.name])).rows
  await eventually(async () => expect(await active()).toEqual([{ active: true }]))
  session.pause()
  ending.abort(new Error('stopped'))
  await session.ended
  await eventually(async () => expect(await active()).toEqual([{ active: false }]))
})

test('a quiet server answers the status frames, and one that says nothing is given up', async () => {
  await using db = await prepared()
  const answers: boolean[] = []
  const ending = new AbortController()
  // The server answers every frame, so this much silence never comes about.
  const lively = openSession(
    optionsFor(db, { signal: ending.signal, silenceMs: 1_500, onKeepAlive: () => answers.push(true) }),
  )
  await eventually(() => expect(answers.length).toBeGreaterThan(40))
  ending.abort(new Error('stopped'))
  await lively.ended
  const lines: { readonly pid: number }[] = []
  const silent = openSession(optionsFor(db, { silenceMs: 1_500 }))
  const ended = silent.ended.catch((error: unknown) => error)
  await eventually(async () => {
    const { rows } = await db.query<{ pid: number }>(
      'select active_pid as pid from pg_replication_slots where active and slot_name = $1',
      [db.name],
    )
    expect(rows).toHaveLength(1)
    lines.push(...rows)
  })
  // Stopped, not ended: as behind a network that swallows everything.
  const pid = lines[0]?.pid ?? expect.unreachable()
  process.kill(pid, 'SIGSTOP')
  try {
    expect(await ended).toMatchObject({ code: 'CAPTURE_SILENT', fate: 'retry' })
  } finally {
    process.kill(pid, 'SIGCONT')
  }
})

test('an address that swallows the connection attempt is given up, and is worth another attempt', async () => {
  // Accepts and never answers: what a firewall or a hung server looks like.
  const listener = createServer(() => undefined)
  await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready))
  const address = listener.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const db = { name: 'none', url: `postgresql://nobody@127.0.0.1:${port}/none` }
  try {
    const given = openSession(optionsFor(db, { connectTimeoutMs: 200 })).ended.catch((error: unknown) => error)
    expect(isRetriableDbError(await given)).toBe(true)
    // A stop does not wait for the attempt to end.
    const ending = new AbortController()
    const stopped = openSession(optionsFor(db, { connectTimeoutMs: 60_000, signal: ending.signal }))
    ending.abort(new Error('stopped'))
    await stopped.ended
  } finally {
    listener.close()
  }
})
