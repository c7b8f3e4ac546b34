/**
 * A worker behind a network that cuts, delays, refuses, swallows, and loses answers, beside one that has a good one: the
 * other takes over what the group no longer hears of, and every value is right before and after the network is whole.
 */
import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, startCluster, WORKER } from './kafka-cluster.ts'
import { throughNetworkFaults } from './kafka-network.ts'
import { startLoad } from './load.ts'

describeWithJava('a worker behind a bad network', () => {
  test('is done without while it hears nothing, harms nothing, and works again', { timeout: 900_000 }, async () => {
    await using cluster = await startCluster('network')
    const worker = cluster.start(WORKER, { isProxied: true })
    const children = [cluster.start(CAPTURE), worker, cluster.start(WORKER)]
    await Promise.all(children.map((child) => child.running()))
    await throughNetworkFaults(cluster, 'a worker', (fault) => cluster.check(`nothing yet, a network that ${fault}`))
    expect(cluster.proxy.swallowed).toBeGreaterThan(0)
    const load = startLoad(cluster.place, 1)
    const whole = new Date()
    await eventually(async () => expect(await cluster.hasWorked(worker, whole)).toBe(true), { deadlineMs: 90_000 })
    await load.stop()
    await cluster.check('the network was whole again')
  })
})
