import { expect, test } from 'vitest'
import { createTestDatabase } from '../test/support/pg.ts'
import { acquireLease } from './db/lease.ts'
import { Health } from './observe/health.ts'
import { finish, keepLease } from './service-parts.ts'

test('a service that was told to end keeps its lease until its last part has ended', async () => {
  await using database = await createTestDatabase('lease')
  const { signal } = new AbortController()
  const draining = Promise.withResolvers<void>()
  const parts = [{ name: 'slow', ended: draining.promise }]
  const lease = keepLease(await acquireLease(database.url, signal))
  const outer = new AbortController()
  const done = finish([lease.until(parts), ...parts], {
    failure: new AbortController(),
    outer: outer.signal,
    health: new Health(),
    log: { info: () => undefined, warn: () => undefined },
    cleanUp: async () => undefined,
  })
  outer.abort(new Error('told to end'))
  const another = () => acquireLease(database.url, signal, { patienceMs: 50 })
  await expect(another()).rejects.toMatchObject({ code: 'DB_LEASE_HELD' })
  draining.resolve()
  await done
  await keepLease(await another()).release()
})
