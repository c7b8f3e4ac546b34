/**
 * More than one capture: started by mistake, and a leader that stands still (SIGSTOP), is succeeded, and wakes up while it
 * still takes itself for the leader. At most one publishes, and no change appears behind a later one.
 *
 * RESCORE_FAULTS=all: the leader stands still for 40 s, in every place.
 */
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { eventually } from '../support/eventually.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, startCluster, WORKER } from './kafka-cluster.ts'
import { SEED, WHOLE } from './kafka-faults.ts'
import { appearances } from './kafka-records.ts'
import { startLoad } from './load.ts'

/** At least until another leads. */
const STILL_MS = WHOLE ? 40_000 : 0
/** Null: wherever it is; with a round in hand that is not sent; with one sent and not counted. */
const PLACES = WHOLE ? [null, 'before-send', 'after-ack'] : ['before-send']

describeWithJava('two captures', () => {
  test('started by mistake: one publishes; the leader that stands still is succeeded, and harms nothing when it wakes up', {
    timeout: 180_000 + PLACES.length * 180_000,
  }, async () => {
    await using cluster = await startCluster('captures')
    const captures = [cluster.start(CAPTURE), cluster.start(CAPTURE)] as const
    const worker = cluster.start(WORKER)
    await Promise.all([...captures, worker].map((child) => child.running()))
    const leads = () => Promise.all(captures.map((child) => cluster.holdsRole(child, 'capture')))
    const first = startLoad(cluster.place, SEED)
    await eventually(async () => expect((await leads()).filter(Boolean)).toEqual([true]))
    const stranger = cluster.start(CAPTURE, { variables: { KAFKA_PREFIX: `other-${cluster.place.name}` } })
    expect((await cluster.mayEnd(stranger)).error?.code).toBe('CAPTURE_SWITCHED')
    await first.stop()
    await cluster.check('two captures were started')
    const { partitions, ...told } = await appearances(cluster.settings)
    expect(partitions).toBeGreaterThan(10)
    expect(told).toEqual({ turns: 0, repeats: [], outOfOrder: [] })

    for (const [index, place] of PLACES.entries()) {
      const at = place ?? 'any moment'
      const [leader, standBy] = (await leads())[0] === true ? captures : captures.toReversed()
      if (leader === undefined || standBy === undefined) throw new TypeError('two captures')
      const load = startLoad(cluster.place, SEED + 10 + index)
      if (place === null) await sleep(700)
      else await leader.holdAt(place)
      const startedMs = performance.now()
      leader.signal('SIGSTOP')
      await eventually(async () => expect(await cluster.holdsRole(standBy, 'capture')).toBe(true), {
        deadlineMs: 60_000,
      })
      await sleep(Math.max(0, STILL_MS - (performance.now() - startedMs)))
      await load.stop()
      await cluster.check(`the leader stood still at ${at}`)
      const again = startLoad(cluster.place, SEED + 20 + index)
      if (place !== null) leader.letGo(place)
      leader.signal('SIGCONT')
      await sleep(1_000)
      await again.stop()
      await cluster.check(`the leader woke up at ${at}`)
      expect((await leads()).filter(Boolean)).toEqual([true])
    }
    const { turns, outOfOrder } = await appearances(cluster.settings)
    expect(outOfOrder).toEqual([])
    // The successor begins where the slot stands; one more would be the leader that woke up.
    expect(turns).toBeLessThanOrEqual(PLACES.length)

    const load = startLoad(cluster.place, SEED + 30)
    const [leader, standBy] = (await leads())[0] === true ? captures : captures.toReversed()
    leader?.signal('SIGTERM')
    expect(await leader?.ended).toEqual({ signal: null, error: null })
    await eventually(async () => expect(standBy && (await cluster.holdsRole(standBy, 'capture'))).toBe(true))
    await load.stop()
    await cluster.check('the leader was ended')
  })
})
