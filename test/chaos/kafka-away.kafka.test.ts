/**
 * The broker is away under load, killed and frozen: capture and workers wait and go on by themselves, processes that are
 * started meanwhile begin once it is back, and PostgreSQL's slot is told of nothing that no broker has.
 *
 * RESCORE_FAULTS=all: for 60 s instead of 10.
 */
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { eventually } from '../support/eventually.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, type Cluster, startCluster, WORKER } from './kafka-cluster.ts'
import { SEED, say, WHOLE } from './kafka-faults.ts'
import { startLoad } from './load.ts'
import { slotOf } from './running.ts'

const AWAY_MS = WHOLE ? 60_000 : 10_000
/** What capture leaves unconfirmed at rest, twice. */
const AT_REST_BYTES = 2_200_000

interface Slot {
  readonly end: string
  readonly confirmed: string
  /** WAL behind what is confirmed. */
  readonly unconfirmed: number
  readonly status: string
  /** Confirmed is at most this. */
  readonly isBefore: boolean
}

async function slotAt({ place }: Cluster, limit = 'FFFFFFFF/0'): Promise<Slot> {
  const { rows } = await place.query<Slot>(
    `select pg_current_wal_insert_lsn()::text as end, confirmed_flush_lsn::text as confirmed, wal_status as status,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::float8 as unconfirmed,
       confirmed_flush_lsn <= $2::pg_lsn as "isBefore"
     from pg_replication_slots where slot_name = $1`,
    [slotOf(place), limit],
  )
  const [slot] = rows
  if (slot === undefined) throw new TypeError('no slot')
  return slot
}

const WAYS = [
  {
    way: 'killed',
    leave: ({ broker }: Cluster) => broker.kill(),
    comeBack: ({ broker }: Cluster) => broker.start(),
  },
  {
    way: 'frozen',
    leave: async ({ broker }: Cluster) => broker.signal('SIGSTOP'),
    comeBack: async ({ broker }: Cluster) => broker.signal('SIGCONT'),
  },
] as const

describeWithJava('a broker that is away', () => {
  test(`for ${AWAY_MS / 1_000} s under load costs time and nothing else`, {
    timeout: 240_000 + WAYS.length * (AWAY_MS + 180_000),
  }, async () => {
    await using cluster = await startCluster('away')
    const running = [cluster.start(CAPTURE), cluster.start(WORKER), cluster.start(WORKER)]
    await Promise.all(running.map((child) => child.running()))
    for (const [index, { way, leave, comeBack }] of WAYS.entries()) {
      const load = startLoad(cluster.place, SEED + index)
      await sleep(1_000)
      await leave(cluster)
      const { end: leftAt } = await slotAt(cluster)
      const late = [cluster.start(WORKER), cluster.start(CAPTURE)]
      await sleep(AWAY_MS)
      const away = await slotAt(cluster, leftAt)
      expect(away.isBefore, 'nothing is confirmed that was written after the broker had gone').toBe(true)
      expect(['reserved', 'extended']).toContain(away.status)
      await comeBack(cluster)
      await load.stop()
      await Promise.all(late.map((child) => child.running()))
      await cluster.check(`a broker was ${way} for ${AWAY_MS} ms`)
      await eventually(async () => expect((await slotAt(cluster)).unconfirmed).toBeLessThan(AT_REST_BYTES), {
        deadlineMs: 60_000,
      })
      say(`${way}: ${Math.round(away.unconfirmed / 1_000)} kB of WAL waited in the slot`)
      for (const child of late) {
        child.signal('SIGTERM')
        expect(await child.ended).toEqual({ signal: null, error: null })
      }
    }
  })
})
