import { expect, test } from 'vitest'
import { setupOf } from '../../test/support/capture.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { parseDatabaseUrl } from '../db/pool.ts'
import { PgoutputDecoder } from './pgoutput.ts'
import { openSession, type SessionOptions } from './session.ts'
import { ensureCapture } from './slot.ts'

async function prepared(): Promise<TestDatabase> {
  const db = await createTestDatabase('session')
  await db.query('create table public.t (id integer primary key)')
  await ensureCapture(db.pool, setupOf(db.name, ['public.t']))
  return db
}

function optionsFor(db: TestDatabase, more: Partial<SessionOptions>): SessionOptions {
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
