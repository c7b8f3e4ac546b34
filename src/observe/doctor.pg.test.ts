import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { growth } from '../../models/growth/model.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { createPool } from '../db/pool.ts'
import { bigint, type Connector, defineConnector, defineTable, type Model, SourceError, text } from '../define/index.ts'
import { examine } from './doctor.ts'
import { examineClock } from './doctor-clock.ts'

const { signal } = new AbortController()
const people = defineTable({ name: 'crm.people', key: 'id', columns: { id: bigint().notNull(), company: text() } })

interface SetUp {
  readonly connectors?: readonly Connector[]
  readonly models?: readonly Model[]
}

async function problems(
  database: Pick<TestDatabase, 'pool'>,
  slot: string,
  { connectors = [], models = [] }: SetUp = {},
) {
  const found = await examine({
    pool: database.pool,
    config: { connectors, features: [], models },
    tables: [people],
    paths: [{ table: people, column: 'company' }],
    slot,
    publication: slot,
    signal,
  })
  return found.map(({ check, message, mend }) => ({ check, message, mend }))
}

test('each thing that is wrong with the database is named with the statement that mends it, and mending it heals', async () => {
  await using database = await createTestDatabase('doctor')
  const slot = database.name
  expect(await problems(database, slot)).toEqual([
    {
      check: 'tables',
      message: 'Table crm.people does not exist.',
      mend: expect.stringContaining('Create it'),
    },
    { check: 'slot', message: `The slot '${slot}' does not exist.`, mend: expect.stringContaining('rescore resync') },
  ])
  await database.query('create schema crm; create table crm.people (id bigint primary key, company text)')
  const found = await problems(database, slot)
  expect(found.map(({ check }) => check)).toEqual(['replica identity', 'indexes', 'slot'])
  for (const { mend } of found.slice(0, 2)) await database.query(mend)
  await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot])
  expect(await problems(database, slot)).toEqual([])
})

test('a role that may neither replicate nor create is told so', async () => {
  await using database = await createTestDatabase('doctor_role')
  const role = `poor_${database.name}`
  await database.query(`create role ${role} login password 'poor'`)
  const url = new URL(database.url)
  url.username = role
  url.password = 'poor'
  const pool = createPool({ url: url.href, applicationName: 'rescore test', max: 1 })
  try {
    const found = await problems({ pool }, database.name)
    expect(found.filter(({ check }) => check === 'privileges').map(({ message }) => message)).toEqual([
      'The role may not read the replication slot.',
      'The role may not create schemas.',
    ])
  } finally {
    await pool.end()
    await database.query(`drop role ${role}`)
  }
})

test('model files that are missing or not those of the manifest are named', async () => {
  await using database = await createTestDatabase('doctor_models')
  const folder = await mkdtemp(join(tmpdir(), 'rescore-doctor-'))
  const model = { ...growth, folder: `${pathToFileURL(folder).href}/` }
  const found = async () =>
    (await problems(database, 'none', { models: [model] }))
      .filter(({ check }) => check === 'models')
      .map(({ message }) => message)
  try {
    expect(await found()).toEqual([`Model 'growth' has no manifest.json.`])
    for (const name of ['manifest.json', 'parity.json']) await cp(new URL(name, growth.folder), join(folder, name))
    expect(await found()).toEqual([`Model 'growth' has no model.onnx.`])
    const artifact = await readFile(new URL('model.onnx', growth.folder))
    await writeFile(join(folder, 'model.onnx'), Buffer.concat([artifact, Buffer.from([0])]))
    expect(await found()).toEqual([`The artifact of model 'growth' is not the one its manifest names.`])
    await writeFile(join(folder, 'model.onnx'), artifact)
    expect(await found()).toEqual([])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a connector says what is wrong itself, and one that cannot even ask hides nothing of the others', async () => {
  await using database = await createTestDatabase('doctor_connectors')
  const connector = (name: string, check: Connector['check']) =>
    defineConnector({ name, credential: name, budgets: [], streams: [], check })
  const found = await problems(database, 'none', {
    connectors: [
      connector('refused', async () => {
        throw new SourceError({ kind: 'auth', code: 'X', message: 'no such token', mend: 'make a new one' })
      }),
      connector('misspelt', async () => [{ code: 'Y', message: 'no property nmae', mend: 'did you mean name?' }]),
      connector('fine', async () => []),
    ],
  })
  expect(found.filter(({ check }) => check.startsWith('connector'))).toEqual([
    { check: 'connector refused', message: 'no such token', mend: 'make a new one' },
    { check: 'connector misspelt', message: 'no property nmae', mend: 'did you mean name?' },
  ])
})

test('a clock that has jumped back and timers that do not fire are named', async () => {
  await using database = await createTestDatabase('doctor_clock')
  expect(await examineClock(database.pool)).toEqual([])
  await database.query(
    `update rescore.clock set at = clock_timestamp() + interval '1 hour';
     insert into rescore.timer values ('company', '1', 'age', '2020-01-01'), ('company', '2', 'age', '2200-01-01')`,
  )
  expect(await examineClock(database.pool)).toEqual([
    { check: 'clock', message: expect.stringMatching(/ s behind what it has been/), mend: expect.any(String) },
    { check: 'timers', message: expect.stringMatching(/^1 timers .* since 2020-01-01/), mend: expect.any(String) },
  ])
})
