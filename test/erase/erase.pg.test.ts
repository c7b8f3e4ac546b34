/** Canaries in every place where something of a record is kept: after an erasure none is found, and nothing brings it back. */
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { takeEvents } from '../../src/connect/hooks/take.ts'
import type { ProjectConfig } from '../../src/define/index.ts'
import { notCovered } from '../../src/erase/elsewhere.ts'
import { type Erasing, erase, tryErase } from '../../src/erase/erase.ts'
import { subjectOf } from '../../src/erase/subject.ts'
import { plant } from '../../src/faults.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { startService } from '../../src/service.ts'
import { calm, createChecker } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import {
  CANARY,
  companies,
  contacts,
  employment,
  history,
  KEY,
  type MemorySource,
  projectOf,
  type SourceMessage,
  whereIs,
} from './setting.ts'

const { signal } = new AbortController()

function erasing(db: TestDatabase, config: ProjectConfig, what = 'company', key = KEY): Erasing {
  const subject = subjectOf(what, compileGraph(config), config)
  return {
    pool: db.pool,
    subject,
    key,
    askedBy: 'the data protection officer',
    signal,
    timeoutMs: 60_000,
    elsewhere: async () => ({ topics: [], notCovered: notCovered(subject, []) }),
  }
}

const neighbours: readonly SourceMessage[] = [
  { op: 'upsert', table: companies, row: { id: 1, name: 'one', domain: 'one.example' } },
  { op: 'upsert', table: contacts, row: { id: 7, email: 'seven@one.example', age: 30 } },
  { op: 'edge', table: employment, from: { company_id: 1 }, to: { contact_id: 7 } },
]
const ofCanary: readonly SourceMessage[] = [
  { op: 'upsert', table: companies, row: { id: KEY, name: CANARY, domain: `${CANARY}.example`, odd: CANARY } },
  { op: 'edge', table: employment, from: { company_id: KEY }, to: { contact_id: 7 }, label: CANARY },
  { op: 'upsert', table: history, row: { id: 'h1', company_id: KEY, was: CANARY } },
]

async function running(db: TestDatabase, source: MemorySource, faults?: { hit(point: string): Promise<void> | void }) {
  const stopping = new AbortController()
  const logged: string[] = []
  const log = (fields: object, message: string) => void logged.push(JSON.stringify({ fields, message }))
  const service = await startService({
    url: db.url,
    config: projectOf(source),
    slot: `erase_${db.name}`,
    publication: 'erase',
    signal: stopping.signal,
    log: { info: log, warn: log },
    strict: true,
    ...(faults === undefined ? {} : { faults }),
  })
  return {
    logged,
    [Symbol.asyncDispose]: async () => {
      stopping.abort(new Error('The test is over.'))
      await service.done
    },
  }
}

async function landed(db: TestDatabase, id: string): Promise<void> {
  await eventually(async () => {
    const { rows } = await db.query('select 1 from rescore.features_company where key = $1', [id])
    expect(rows).toHaveLength(1)
  })
}

/** Places that need faults, webhooks, models or Kafka to fill by themselves, filled by hand. */
async function plantCanaries({ query }: TestDatabase): Promise<void> {
  const record = Buffer.from(JSON.stringify({ before: null, after: { id: Number(KEY), name: CANARY }, op: 'c' }))
  const key = Buffer.from(JSON.stringify({ id: Number(KEY) }))
  await query(
    `insert into rescore.reject (connector, stream, source_table, key, raw, code, reason) values
      ('crm', 'companies', 'crm.companies', $1, $2, 'X', $3), ('crm', 'companies', 'crm.history', 'h9', $4, 'X', 'other')`,
    [
      KEY,
      JSON.stringify({ id: KEY, name: CANARY }),
      CANARY,
      JSON.stringify({ id: 'h9', company_id: KEY, was: CANARY }),
    ],
  )
  await query(`insert into rescore.alias (source_table, old_key, new_key) values ('crm.companies', '99', $1)`, [KEY])
  await query(`insert into rescore.listed values ('crm.companies', 'all', jsonb_build_array($1::bigint))`, [KEY])
  await query(`insert into rescore.wake_up (connector, stream, key, mark) values ('crm', 'companies', $1, 1)`, [KEY])
  await query(
    `insert into rescore.connector_memory (connector, stream, name, value) values ('crm', 'domains', $1, 'etag')`,
    [`${CANARY}.example`],
  )
  await query(
    `insert into rescore.connector_memory (connector, stream, name, value) values ('crm', 'companies', $1, $2)`,
    [`etag:${KEY}`, CANARY],
  )
  await query('insert into web.domains values ($1, $2)', [`${CANARY}.example`, CANARY])
  await query(
    `insert into rescore.quarantine (entity, key, feature, code, reason, epoch) values ('company', $1, 'f', 'X', $2, 1)`,
    [KEY, CANARY],
  )
  await query(
    `insert into rescore.classification (model, key, entity, label, probability, probabilities, model_version, artifact_hash, fingerprint, features_lsn, snap_lsn)
     values ('m', $1, 'company', $2, 0.5, '{0.5}', '1', 'a', 'f', '0/0', '0/0')`,
    [KEY, CANARY],
  )
  await query(
    `insert into rescore.classification_history (model, entity, key, op, to_label, model_version, artifact_hash, features_lsn)
     values ('m', 'company', $1, 'insert', $2, '1', 'a', '0/0')`,
    [KEY, CANARY],
  )
  await query(`insert into rescore.computed values ('company 0123456789abcdef', $1, $2)`, [KEY, CANARY])
  await query(`insert into rescore.delivery_due (entity, key) values ('company', $1)`, [KEY])
  await query(
    `insert into rescore.unpublished (topic, partition, lsn, index, key, value, code, reason) values
      ('rescore.crm.companies', 0, '0/1', 0, $1, $2, 'X', 'large'), ('rescore.crm.companies', 0, '0/1', 1, $1, null, 'X', 'large')`,
    [key, record],
  )
  await query(
    `insert into rescore.dead_letter (stage, topic, partition, record_offset, key, value, code, reason)
     values ('recompute', 'rescore.crm.companies', 0, 1, $1, $2, 'X', 'odd')`,
    [key, record],
  )
  await query(
    `update rescore.feature_history set causes = $1, cause_count = 2 where entity = 'contact' and key = '7'`,
    [
      JSON.stringify([
        {
          table: 'crm.companies',
          key: KEY,
          op: 'update',
          column: 'name',
          from: CANARY,
          to: 'b',
          lsn: '0/1',
          committedAtMs: 1,
        },
        {
          table: 'crm.contacts',
          key: '7',
          op: 'update',
          column: 'email',
          from: 'kept',
          to: 'too',
          lsn: '0/1',
          committedAtMs: 1,
        },
      ]),
    ],
  )
}

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
