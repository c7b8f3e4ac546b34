/** Canaries in every place where something of a record is kept: after an erasure none is found, and nothing brings it back. */
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { takeEvents } from '../../src/connect/hooks/take.ts'
import { erase, tryErase } from '../../src/erase/erase.ts'
import { subjectOf } from '../../src/erase/subject.ts'
import { plant } from '../../src/faults.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { calm, createChecker } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { erasing, landed, neighbours, ofCanary, plantCanaries, running } from './canaries.ts'
import { CANARY, companies, history, KEY, type MemorySource, projectOf, whereIs } from './setting.ts'

test('beside live traffic everything of a record goes, everywhere, and no later read brings it back', async () => {
  await using db = await createTestDatabase('erase')
  const source: MemorySource = { messages: [...neighbours, ...ofCanary] }
  const config = projectOf(source)
  const service = await running(db, source)
  try {
    await landed(db, KEY)
    await plantCanaries(db)
    const places = (await whereIs(db.pool, CANARY)).map((found) => found.split(':')[0])
    expect(places.length).toBeGreaterThanOrEqual(14)
    const order = erasing(db, config)
    const tried = await tryErase(db.pool, order.subject, KEY)
    expect((await whereIs(db.pool, CANARY)).length).toBe(places.length)
    // The source goes on telling of it, changed each time.
    const telling = setInterval(() => {
      source.messages = [
        ...neighbours,
        ...ofCanary,
        { op: 'upsert', table: companies, row: { id: KEY, name: `${CANARY} ${Math.random()}` } },
        { op: 'reject', table: companies, key: KEY, raw: { id: KEY, name: CANARY }, code: 'Y', reason: 'odd' },
        { op: 'merge', table: companies, from: { id: KEY }, into: { id: 1 } },
        { op: 'remember', name: `etag:${KEY}`, value: CANARY },
        { op: 'remember', name: 'other', value: 'kept' },
        { op: 'listed', table: history, listing: 'l', keys: [{ id: 'h1', company_id: KEY }] },
      ]
    }, 5)
    try {
      const certificate = await erase(order)
      for (const place of Object.keys(tried))
        expect([place, certificate.removed[place]]).toEqual([place, expect.any(Number)])
      expect(Object.keys(certificate.removed).sort()).toEqual(
        expect.arrayContaining([
          'crm.companies',
          'crm.employment',
          'crm.history',
          'rescore.features_company',
          'web.domains',
        ]),
      )
      expect(certificate.removed['crm.companies']).toBeGreaterThanOrEqual(tried['crm.companies'] ?? 0)
      const { hash, ...said } = certificate
      expect(createHash('sha256').update(JSON.stringify(said)).digest('hex')).toBe(hash)
      const { rows } = await db.query<{ certificate: string }>(
        "select certificate #>> '{}' as certificate from rescore.erasure",
      )
      expect(rows.map((row) => JSON.parse(row.certificate))).toEqual([certificate])
      const passes = await db.query<{ passes: bigint }>(
        `select passes from rescore.stream_status where stream = 'companies'`,
      )
      await eventually(async () => {
        const now = await db.query<{ passes: bigint }>(
          `select passes from rescore.stream_status where stream = 'companies'`,
        )
        expect(now.rows[0]?.passes ?? 0n).toBeGreaterThan((passes.rows[0]?.passes ?? 0n) + 5n)
      })
    } finally {
      clearInterval(telling)
    }
    await takeEvents(db.pool, 'crm', [], [{ id: 'event', stream: 'companies', key: KEY, wrote: null }], () => companies)
    await calm(db)
    expect(await whereIs(db.pool, CANARY)).toEqual([])
    expect(await whereIs(db.pool, KEY)).toEqual([])
    expect(service.logged.filter((line) => line.includes(CANARY))).toEqual([])
    // The neighbours are as they were, and everything derived of them is true.
    const { rows } = await db.query('select key, staff_age from rescore.features_company')
    expect(rows).toEqual([{ key: 1n, staff_age: 30 }])
    await using checker = await createChecker({ ...config, connectors: [] })
    expect((await checker.check({ ...db })).differences).toEqual([])
    const kept = await db.query(
      `select causes #>> '{1,from}' as kept, causes #>> '{0,column}' as moved from rescore.feature_history where entity = 'contact' and cause_count = 2`,
    )
    expect(kept.rows).toEqual([{ kept: 'kept', moved: 'name' }])
  } finally {
    await service[Symbol.asyncDispose]()
  }
})

async function eraseInFlight(db: TestDatabase): Promise<readonly string[]> {
  const source: MemorySource = { messages: [...neighbours] }
  const config = projectOf(source)
  const [held, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let isArmed = false
  const service = await running(db, source, {
    hit: async (point) => {
      if (!isArmed || point !== 'recompute:before-commit') return
      isArmed = false
      held.resolve()
      await gate.promise
    },
  })
  try {
    await landed(db, '1')
    await calm(db)
    isArmed = true
    source.messages = [...neighbours, ...ofCanary]
    // Computed from the record, and not yet committed, when it is erased.
    await held.promise
    const done = erase(erasing(db, config))
    await eventually(async () => {
      const { rows } = await db.query('select 1 from rescore.erasure')
      expect(rows).toHaveLength(1)
    })
    gate.resolve()
    await done
    const found = await whereIs(db.pool, CANARY)
    await calm(db)
    return found
  } finally {
    gate.resolve()
    await service[Symbol.asyncDispose]()
  }
}

test('what was computed before and commits after is not put back', async () => {
  await using db = await createTestDatabase('erase_flight')
  expect(await eraseInFlight(db)).toEqual([])
})

test('the search for canaries notices an erasure that does not wait for work in flight', async () => {
  await using db = await createTestDatabase('erase_planted')
  using _bug = plant('erase-in-flight-forgotten')
  expect(await eraseInFlight(db)).not.toEqual([])
})

test('killed after any step, the same command goes on, counts once, and certifies once', async () => {
  await using db = await createTestDatabase('erase_killed')
  const source: MemorySource = { messages: [...neighbours, ...ofCanary] }
  const config = projectOf(source)
  {
    await using _service = await running(db, source)
    await landed(db, KEY)
  }
  await plantCanaries(db)
  const order = erasing(db, config)
  const tried = await tryErase(db.pool, order.subject, KEY)
  for (const [point, passing] of [
    ['erase:after-pass', 1],
    ['erase:after-pass', 2],
    ['erase:before-certificate', 1],
  ] as const) {
    let left = passing
    const faults = {
      hit: (name: string) => {
        if (name !== point) return
        left -= 1
        if (left === 0) throw new Error(`killed at ${point}`)
      },
    }
    await expect(erase({ ...order, faults })).rejects.toThrow('killed')
  }
  const certificate = await erase(order)
  expect(certificate.removed).toEqual(tried)
  const { rows } = await db.query('select finished_at is not null as is_finished from rescore.erasure')
  expect(rows).toEqual([{ is_finished: true }])
  // Again: nothing is there, and that is certified too.
  expect((await erase(order)).removed).toEqual({})
  expect(await whereIs(db.pool, CANARY)).toEqual([])
})

test('a record that is no entity is erased by the name of its table, with the pairs it stands in', async () => {
  await using db = await createTestDatabase('erase_contact')
  const source: MemorySource = { messages: [...neighbours] }
  const config = projectOf(source)
  await using _service = await running(db, source)
  await landed(db, '1')
  await calm(db)
  const { removed, notCovered: told } = await erase(erasing(db, config, 'contacts', '7'))
  // More than once, where a landing under way had put it back.
  for (const place of ['crm.contacts', 'crm.employment', 'rescore.features_contact']) {
    expect([place, removed[place] ?? 0]).toEqual([place, expect.toSatisfy((rows: number) => rows >= 1)])
  }
  expect(told.join('\n')).toContain('staff_age')
  await calm(db)
  const { rows } = await db.query('select key, staff_age from rescore.features_company')
  expect(rows).toEqual([{ key: 1n, staff_age: 0 }])
  expect(await whereIs(db.pool, 'seven@one.example')).toEqual([])
  expect(() => subjectOf('nobody', compileGraph(config), config)).toThrow(
    expect.objectContaining({ code: 'ERASE_UNKNOWN' }),
  )
  expect(() => subjectOf('employment', compileGraph(config), config)).toThrow(
    expect.objectContaining({ code: 'ERASE_KEY' }),
  )
})
