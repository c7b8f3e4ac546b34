/**
 * Capture behind a network that cuts, delays, refuses, swallows, and loses answers: what the brokers may or may not have
 * appended is published until it is known, in order, and every value is right afterwards.
 */
import { expect, test } from 'vitest'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, startCluster, WORKER } from './kafka-cluster.ts'
import { throughNetworkFaults } from './kafka-network.ts'
import { appearances } from './kafka-records.ts'

describeWithJava('capture behind a bad network', () => {
  test('publishes every change in order, whatever becomes of its connections', { timeout: 900_000 }, async () => {
    await using cluster = await startCluster('netcap')
    const children = [cluster.start(CAPTURE, { isProxied: true }), cluster.start(WORKER)]
    await Promise.all(children.map((child) => child.running()))
    await throughNetworkFaults(cluster, 'capture')
    expect(cluster.proxy.swallowed).toBeGreaterThan(0)
    // An answer that was lost makes no duplicate either.
    const { partitions, ...told } = await appearances(cluster.settings)
    expect(partitions).toBeGreaterThan(10)
    expect(told).toEqual({ turns: 0, repeats: [], outOfOrder: [] })
  })
})
