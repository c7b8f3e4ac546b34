/** Webhooks end to end: what happens in the portal is in the tables although nobody has looked for changes. */
import { describe, expect, it } from 'vitest'
import { sourceContext } from '../../src/connect/context.ts'
import { startWebhookServer } from '../../src/connect/hooks/server.ts'
import { takeEvents } from '../../src/connect/hooks/take.ts'
import { readAwake } from '../../src/connect/hooks/wakes.ts'
import { streamOf } from '../../src/connect/streams.ts'
import type { HubspotSetUp } from '../../test/support/hubspot.ts'
import { expectSame, ids, live, loadAll, MACHINES, relate, setUpLively } from '../../test/support/hubspot-life.ts'

describe('webhooks', () => {
  const webhooks = { clientSecret: 'client-secret', publicUrl: 'https://hooks.example.com/hubspot' }

  async function listening(at: HubspotSetUp) {
    const { webhooks: receiver } = at.connector
    if (receiver === undefined) throw new Error('no receiver')
    const take = (events: Parameters<typeof takeEvents>[3]) => takeEvents(at.db.pool, 'hubspot', [], events)
    const log = { info: () => undefined, warn: () => undefined }
    const routes = [{ connector: 'hubspot', receiver, take }]
    return startWebhookServer({ port: 0, log, clock: at.clock, routes })
  }

  /** @returns records read */
  async function readAll(at: HubspotSetUp): Promise<number> {
    let read = 0
    for (const stream of at.connector.streams.map(streamOf).filter((one) => one.read !== undefined)) {
      for (;;) {
        const awake = await readAwake(at.run, stream, at.book)
        if (awake === null) break
        read += awake.read
      }
    }
    return read
  }

  it.each(['legacy', 'generic'] as const)(
    'of every type that is read, %s, twice and in any order, are in the tables',
    async (format) => {
      await using at = await setUpLively({ webhooks })
      await loadAll(at)
      await at.connector.check(sourceContext(at.run, at.book, 'check'))
      await using server = await listening(at)
      at.simulator.webhooks.subscribe({ url: `http://127.0.0.1:${server.port}/hubspot`, ...webhooks, format })
      live(at)
      relate(at)
      const { taken, refused } = await at.simulator.webhooks.deliver({ twice: true, shuffled: true })
      expect(refused).toBe(0)
      expect(taken).toBeGreaterThan(80)
      // However many events tell of a record, it is read once: twelve records of a type and the new ones, at most.
      expect(await readAll(at)).toBeLessThanOrEqual(5 * 13)
      await expectSame(at)
      relate(at)
      await at.simulator.webhooks.deliver()
      await readAll(at)
      await expectSame(at)
      expect((await at.db.query('select from rescore.wake_up')).rowCount).toBe(0)
    },
  )

  it('of custom objects come again until the portal has been asked what they are', async () => {
    await using at = await setUpLively({ webhooks })
    await using server = await listening(at)
    at.simulator.webhooks.subscribe({ url: `http://127.0.0.1:${server.port}/hubspot`, ...webhooks })
    const [machine = 0] = ids(at, MACHINES)
    at.portal.edit(MACHINES, machine, { serial: 'new' })
    expect(await at.simulator.webhooks.deliver()).toStrictEqual({ taken: 0, refused: 1 })
    expect(server.answered).toStrictEqual({ 503: 1 })
    await at.connector.check(sourceContext(at.run, at.book, 'check'))
    expect(await at.simulator.webhooks.deliver()).toStrictEqual({ taken: 1, refused: 0 })
    expect(await readAll(at)).toBe(1)
  })
})
