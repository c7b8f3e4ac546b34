/**
 * A copy of tables of another PostgreSQL, its process killed at random points while the tables are copied for the first
 * time and while they are followed, under transactions that never rest: afterwards every table is equal to its source.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { randomFrom } from '../simulator/index.ts'
import { printed } from '../support/copying.ts'
import { eventually } from '../support/eventually.ts'
import { type OwnServer, startOwnServer } from '../support/own-server.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { COPIED, type CopyOrder, createBank, transact } from './copy-tables.ts'

const PROGRAM = fileURLToPath(new URL('./copy-main.ts', import.meta.url))
const NODE_24 = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url))
const stripsTypes = Number(process.versions.node.split('.')[0]) >= 24

interface Copying extends AsyncDisposable {
  readonly ended: Promise<NodeJS.Signals | null>
  readonly told: string[]
}

function startCopying(order: CopyOrder, faults = ''): Copying {
  const child: ChildProcess = fork(PROGRAM, [JSON.stringify(order)], {
    execPath: stripsTypes ? process.execPath : NODE_24,
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, NODE_OPTIONS: '', RESCORE_TEST_FAULTS: faults },
  })
  const told: string[] = []
  child.on('message', (message) => told.push(JSON.stringify(message)))
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_, signal) => resolve(signal)))
  return {
    ended,
    told,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Transactions without rest, until it is stopped. */
function load(server: OwnServer, seed: number) {
  const stopping = new AbortController()
  const random = randomFrom(seed, 'copy')
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await transact(server.pool, random)
      await sleep(random.whole(0, 8))
    }
  })()
  return async () => {
    stopping.abort()
    await running
  }
}

async function areEqual(server: OwnServer, target: TestDatabase): Promise<void> {
  await eventually(
    async () => {
      let rows = 0
      for (const table of COPIED) {
        const there = await printed(server.pool, table, '*')
        const here = await printed(target.pool, table, '*')
        expect(here.length, table).toBe(there.length)
        expect(here.filter((row, at) => row !== there[at])).toEqual([])
        rows += here.length
      }
      // Equal, and not because nothing is there.
      expect(rows).toBeGreaterThan(300)
    },
    { deadlineMs: 90_000, everyMs: 200 },
  )
}

test.each([1, 2])(
  'killed at random points of the first copy and of the stream, every table ends equal: seed %i',
  {
    timeout: 300_000,
  },
  async (seed) => {
    await using server = await startOwnServer({ max_wal_senders: '10' })
    await using target = await createTestDatabase('copied')
    await createBank(server.pool)
    const order = { source: server.url, target: target.url }
    const random = randomFrom(seed, 'kills')
    const stop = load(server, seed)
    for (let round = 0; round < 7; round += 1) {
      const point = random.pick(['copy:message', 'copy:before-land', 'copy:after-land'])
      const passing = point === 'copy:message' ? random.whole(1, 900) : random.whole(1, 9)
      await using copying = startCopying(order, `kill:${point}@${passing}`)
      expect([point, passing, await copying.ended, copying.told.filter((line) => line.includes('ended'))]).toEqual([
        point,
        passing,
        'SIGKILL',
        [],
      ])
    }
    await using _copying = startCopying(order)
    await sleep(500)
    await stop()
    await areEqual(server, target)
    // And the source keeps nothing for it that has landed.
    await eventually(async () => {
      const { rows } = await target.query<{ lsn: string }>(`select state->>'lsn' as lsn from rescore.connector_state`)
      const slots = await server.pool.query(
        `select confirmed_flush_lsn = $1::pg_lsn as is_confirmed from pg_replication_slots`,
        [rows[0]?.lsn],
      )
      expect(slots.rows).toEqual([{ is_confirmed: true }])
    })
  },
)
