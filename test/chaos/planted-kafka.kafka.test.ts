/**
 * The fault tests over Kafka are tested: bugs of src/faults.ts that matter there are planted in a process, and found by
 * the same check that ends those tests; without the bug the same schedule is clean.
 *
 * | bug                     | what goes wrong with it                                        | caught by                        |
 * |-------------------------|----------------------------------------------------------------|----------------------------------|
 * | confirm-too-early       | the slot is told of changes that no broker has                 | capture killed before it sends   |
 * | keep-alive-always       | the same, by a keep-alive                                      | capture killed before it sends   |
 * | position-before-effects | a partition's position says done, and the effects are lost     | worker killed between the two    |
 * | position-not-compared   | a worker that was overtaken sets the partition back            | worker stopped before it commits |
 */
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import type { Bug } from '../../src/faults.ts'
import { type KafkaBroker, startBroker } from '../support/kafka/broker.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, type Cluster, SHORT_SESSIONS, startClusterOn, WORKER } from './kafka-cluster.ts'
import { slotOf } from './running.ts'
import type { ServiceChild } from './service-child.ts'

const SESSION_MS = 1_500
/** Moves several features of a company. */
const CHANGE = `update app.deal set stage = 'won', amount = amount + 4.5, terms = 'short' where id = 1`
/** A change of the same partition that means nothing, so that whoever has it in hand holds no key. */
const NOTHING = 'update app.deal set id = id where id = 1'

/** Long enough for what a bug does in a second; without the bug it is waited for in vain. */
async function happens({ place }: Cluster, sql: string, values: readonly unknown[] = []): Promise<boolean> {
  for (let attempt = 0; attempt < 120; attempt += 1) {
    const { rows } = await place.query<{ answer: boolean }>(`select (${sql}) as answer`, [...values])
    if (rows[0]?.answer === true) return true
    await sleep(25)
  }
  return false
}

async function lsnAt({ place }: Cluster): Promise<string> {
  const { rows } = await place.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
  return rows[0]?.lsn ?? ''
}

interface Actors {
  readonly cluster: Cluster
  readonly capture: ServiceChild
  readonly worker: ServiceChild
}

async function kill(child: ServiceChild): Promise<void> {
  child.signal('SIGKILL')
  expect((await child.ended).signal).toBe('SIGKILL')
}

/** Killed with a change in hand that was not sent, once the slot has passed it or never does. */
async function killCapture({ cluster, capture }: Actors, after: string): Promise<void> {
  const held = capture.holdAt('before-send')
  await cluster.place.query(CHANGE)
  await held
  const lsn = await lsnAt(cluster)
  await cluster.place.query(after)
  await happens(cluster, 'select confirmed_flush_lsn >= $2::pg_lsn from pg_replication_slots where slot_name = $1', [
    slotOf(cluster.place),
    lsn,
  ])
  await kill(capture)
  await cluster.start(CAPTURE).running()
}

const DEAL_MOVED = `exists (select from rescore.stage_position
  where stage = 'recompute' and topic like '%.app.deal' and lsn >= $1::pg_lsn)`

const SCHEDULES: readonly { bug: Bug; who: 'capture' | 'worker'; schedule: (actors: Actors) => Promise<void> }[] = [
  // A second commit behind the held one, so that the end of the first lies before what is received.
  { bug: 'confirm-too-early', who: 'capture', schedule: (actors) => killCapture(actors, CHANGE) },
  // More WAL of other tables than capture leaves unconfirmed at rest.
  {
    bug: 'keep-alive-always',
    who: 'capture',
    schedule: (actors) =>
      killCapture(actors, `insert into app.unread select repeat('x', 4000) from generate_series(1, 1000)`),
  },
  {
    bug: 'position-before-effects',
    who: 'worker',
    schedule: async ({ cluster, worker }) => {
      const lsn = await lsnAt(cluster)
      const held = worker.holdAt('recompute:before-apply')
      await cluster.place.query(CHANGE)
      await held
      await happens(cluster, DEAL_MOVED, [lsn])
      await kill(worker)
      await cluster.start(WORKER).running()
    },
  },
  {
    bug: 'position-not-compared',
    who: 'worker',
    schedule: async ({ cluster, worker }) => {
      const held = worker.holdAt('recompute:after-apply')
      await cluster.place.query(NOTHING)
      await held
      worker.signal('SIGSTOP')
      await cluster.place.query(CHANGE)
      await cluster.start(WORKER, { sessionTimeoutMs: SESSION_MS }).running()
      await cluster.calm()
      worker.letGo('recompute:after-apply')
      worker.signal('SIGCONT')
      await happens(cluster, 'exists (select from app.step_back)')
    },
  },
]

async function faultsAfter(broker: KafkaBroker, bug: Bug, isPlanted: boolean): Promise<number> {
  const found = SCHEDULES.find((each) => each.bug === bug)
  if (found === undefined) throw new TypeError(bug)
  const { who, schedule } = found
  await using cluster = await startClusterOn(broker, 'planted', { partitions: 1 })
  await cluster.place.query('create table app.unread (t text); alter table app.unread alter t set storage external')
  const faults = isPlanted ? `bug:${bug}` : ''
  const sessionTimeoutMs = SESSION_MS
  const capture = cluster.start(CAPTURE, who === 'capture' ? { faults } : {})
  const worker = cluster.start(WORKER, who === 'worker' ? { faults, sessionTimeoutMs } : { sessionTimeoutMs })
  await Promise.all([capture.running(), worker.running()])
  await cluster.calm()
  await schedule({ cluster, capture, worker })
  return await cluster.faults()
}

describeWithJava('a bug over Kafka', () => {
  test('is found by the check of the fault tests, and without it the check is clean', {
    timeout: 900_000,
  }, async () => {
    await using broker = await startBroker({ settings: SHORT_SESSIONS })
    const found: Record<string, readonly boolean[]> = {}
    for (const { bug } of SCHEDULES) {
      found[bug] = [(await faultsAfter(broker, bug, true)) > 0, (await faultsAfter(broker, bug, false)) > 0]
    }
    expect(found, 'planted, and not').toEqual(Object.fromEntries(SCHEDULES.map(({ bug }) => [bug, [true, false]])))
  })
})
