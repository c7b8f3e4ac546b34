/**
 * A session of its own that holds advisory locks, and ends with them when the process that opened it stands still.
 *
 * A stopped process, a frozen machine and a cut network leave a session open, and with it its locks, for ever or for
 * hours. So PostgreSQL is told to end the session after a while without a statement, and the process sends one often.
 * Invariants: `lost` aborts before PostgreSQL gives the locks to anyone else, or, where the process itself stood still,
 * as soon as it runs again; an event loop that is busy for less than `idleMs` less `everyMs` loses nothing; ending never
 * waits for a network that does not answer. A crash ends the session with its connection.
 */
import { Socket } from 'node:net'
import type pg from 'pg'
import { sleep } from './backoff.ts'
import { createClient } from './pool.ts'

/** Milliseconds. `everyMs` and `withinMs` together must stay below `idleMs`, and `withinMs` be no less than `everyMs`. */
export interface Beat {
  /** From one statement to the next. */
  readonly everyMs: number
  /** How long PostgreSQL has for an answer. */
  readonly withinMs: number
  /** After this long without a statement PostgreSQL ends the session. */
  readonly idleMs: number
}

export const BEAT: Beat = { everyMs: 2_000, withinMs: 5_000, idleMs: 12_000 }
const CONNECT_MS = 10_000
const GOODBYE_MS = 1_000

export interface HeldSession {
  readonly query: pg.Client['query']
  /** Aborts when the session has ended or must be taken for it, whoever ended it. */
  readonly lost: AbortSignal
  /** Whether PostgreSQL cannot have ended it for our silence: true of this very moment, also where `lost` has yet to abort. */
  isSure(): boolean
  end(): Promise<void>
}

export interface HeldSessionOptions {
  readonly url: string
  readonly applicationName: string
  readonly beat?: Beat | undefined
}

/** @throws whatever connecting fails with, or that nothing was answered in time */
export async function openHeldSession({ url, applicationName, beat = BEAT }: HeldSessionOptions): Promise<HeldSession> {
  const socket = new Socket()
  const client = createClient({ url, applicationName, socket, connectWithinMs: CONNECT_MS })
  const ending = new AbortController()
  const lost = new AbortController()
  client.once('end', () => lost.abort(new Error('The session has ended.')))
  // The end of the session is what counts; without a listener its error would end the process.
  client.on('error', () => undefined)
  const giveUp = (why: string) => {
    lost.abort(new Error(why))
    socket.destroy()
  }
  const end = async () => {
    ending.abort()
    const gone = new AbortController()
    // Rejects when the session is gone before.
    const limit = sleep(GOODBYE_MS, gone.signal).catch(() => undefined)
    await Promise.race([client.end(), limit])
    gone.abort()
    socket.destroy()
  }
  let heardMs = performance.now()
  const onAnswer = (sentMs: number) => {
    heardMs = sentMs
  }
  try {
    await client.connect()
    onAnswer(performance.now())
    // From here on what is never answered is given up, this included.
    void beatWhile(AbortSignal.any([ending.signal, lost.signal]), client, beat, { onAnswer, giveUp })
    await client.query(`set idle_session_timeout = ${beat.idleMs}`)
  } catch (error) {
    await end()
    throw error
  }
  const isSure = () => !lost.signal.aborted && performance.now() - heardMs < beat.idleMs
  return { query: client.query.bind(client), lost: lost.signal, isSure, end }
}

async function beatWhile(
  signal: AbortSignal,
  client: pg.Client,
  { everyMs, withinMs, idleMs }: Beat,
  { onAnswer, giveUp }: { readonly onAnswer: (sentMs: number) => void; readonly giveUp: (why: string) => void },
): Promise<void> {
  while (!signal.aborted) {
    const sentMs = performance.now()
    if (!(await isAnswered(client, withinMs, signal))) {
      if (!signal.aborted) giveUp(`PostgreSQL did not answer within ${withinMs} ms.`)
      return
    }
    onAnswer(sentMs)
    // Rejects only when the signal aborts, which the loop's condition sees.
    await sleep(Math.max(0, everyMs - (performance.now() - sentMs)), signal).catch(() => undefined)
    // PostgreSQL has ended the session by now, whether or not its word has been read yet.
    if (performance.now() - sentMs > idleMs) giveUp('This process stood still for too long.')
  }
}

/** False when it failed, is late, or the signal aborts first. */
async function isAnswered(client: pg.Client, withinMs: number, signal: AbortSignal): Promise<boolean> {
  const over = new AbortController()
  const late = sleep(withinMs, AbortSignal.any([signal, over.signal])).then(turnOfEventLoop, () => undefined)
  const answer = client.query('select 1').then(
    () => true,
    () => false,
  )
  try {
    return await Promise.race([answer, late.then(() => false)])
  } finally {
    over.abort()
  }
}

/** What arrived while the event loop was busy has been read after it. */
function turnOfEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
