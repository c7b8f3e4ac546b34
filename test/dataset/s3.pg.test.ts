/** Data sets in a bucket of a real S3 server: the same bytes as in a folder, through all that happens on the way. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDataset } from '../../src/dataset/create.ts'
import { diffDatasets } from '../../src/dataset/diff.ts'
import type { DatasetEntry } from '../../src/dataset/registry.ts'
import { listDatasets } from '../../src/dataset/registry.ts'
import { verifyDataset } from '../../src/dataset/verify.ts'
import { deployed, makeIn, quiet, requestFor, rowsIn, temporaryFolder } from '../support/datasets.ts'
import { eventually } from '../support/eventually.ts'
import type { PastRow } from '../support/past.ts'
import type { TestDatabase } from '../support/pg.ts'
import { startProxy } from '../support/proxy.ts'
import { BUCKET, CREDENTIALS, moto, type Relay, type S3Server, startRelay, startS3 } from '../support/s3.ts'

const NODE_24 = resolve('node_modules/.bin/node')
const { program: python = '', why } = await moto()

const PAST: readonly PastRow[] = [
  { key: '1', op: 'insert', validAt: '2024-01-01', to: { amount: 0.1, visits: 1 } },
  { key: '2', op: 'insert', validAt: '2024-01-01', to: { amount: -5, visits: 20 } },
]
const SHORT = 'shop,seen\n1,2024-02-01\n2,2024-02-01\n9,soon\n'
/** What zstd cannot make small: a Parquet file of three parts. */
const LONG = [
  'shop,seen,note',
  ...Array.from({ length: 400 }, (_, nr) => `${(nr % 2) + 1},2024-02-01,${randomBytes(48_000).toString('base64')}`),
].join('\n')

const isPart = (call: string) => call.startsWith('PUT ') && call.includes('partNumber=')
const parts = (relay: Relay) => relay.calls.filter(isPart).length

describe.skipIf(why !== undefined)('data sets in a bucket', () => {
  let folder = ''
  let server: S3Server
  beforeAll(async () => {
    Object.assign(process.env, CREDENTIALS)
    folder = await temporaryFolder()
    server = await startS3(python)
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const at = (endpoint: string) => ({ endpoint, region: 'us-east-1', pathStyle: true })
  const make = (database: TestDatabase, name: string, list: string, endpoint: string, until = quiet.signal) =>
    makeIn(database, folder, { name, list }, `s3://${BUCKET}/${database.name}`, until, at(endpoint))
  const keyOf = ({ folder: address }: DatasetEntry, name: string) => `${address.split('/').slice(3).join('/')}/${name}`
  const objectsOf = async ({ name }: TestDatabase) => {
    const { Contents } = await server.client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${name}/` }))
    return (Contents ?? []).map(({ Key }) => Key?.slice(name.length + 1))
  }
  const bytesOf = async (made: DatasetEntry, name: string) => {
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: keyOf(made, name) }))
    return Buffer.from((await Body?.transformToByteArray()) ?? [])
  }
  const same = async (a: DatasetEntry, local: DatasetEntry) => {
    for (const { name } of [...local.manifest.files, { name: 'manifest.json' }]) {
      expect((await bytesOf(a, name)).equals(await readFile(join(local.folder, name))), name).toBe(true)
    }
  }

  test.each([
    ['one part', SHORT, ['data.parquet', 'manifest.json', 'rejects.csv']],
    ['three parts', LONG, ['data.parquet', 'manifest.json']],
  ])('the same bytes as in a folder, of %s; listed, compared, read back', async (label, list, files) => {
    await using database = await deployed('s3_same', PAST)
    await using relay = await startRelay(server.endpoint)
    const remote = await make(database, 'remote', list, relay.endpoint)
    const local = await makeIn(database, folder, { name: `local-${label.replace(' ', '-')}`, list })
    expect(parts(relay)).toBe(label === 'one part' ? 0 : 3)
    expect(remote).toMatchObject({ folder: `s3://${BUCKET}/${database.name}/remote`, s3: at(relay.endpoint) })
    expect(await objectsOf(database)).toEqual(files.map((name) => `remote/${name}`))
    await same(remote, local)
    expect((await listDatasets(database.pool)).map(({ name }) => name)).toEqual(['remote', local.name])
    expect(await rowsIn(remote)).toEqual(await rowsIn(local))
    expect(await diffDatasets(database.pool, 'remote', local.name, quiet)).toMatchObject({
      isSame: true,
      rows: { differing: 0, compared: local.manifest.rows.served },
    })
    expect(await verifyDataset(database.pool, 'remote', quiet)).toMatchObject({ problems: [] })
    expect(await server.unfinished()).toEqual([])
  })

  test('a changed, a missing and an extra object is told', async () => {
    await using database = await deployed('s3_verify', PAST)
    const made = await make(database, 'touched', SHORT, server.endpoint)
    const data = await bytesOf(made, 'data.parquet')
    data.writeUInt8(data.readUInt8(20) ^ 1, 20)
    const send = (Key: string, Body: Buffer) => server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body }))
    await send(keyOf(made, 'data.parquet'), data)
    await server.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: keyOf(made, 'rejects.csv') }))
    await send(keyOf(made, 'more/part-0.parquet'), data)
    expect((await verifyDataset(database.pool, 'touched', quiet)).problems).toEqual([
      'data.parquet has other content than it was made with',
      'rejects.csv is not there',
      'more/part-0.parquet is there, but is no file of the data set',
    ])
  })

  test('killed in the middle: nothing is listed, and the same command sends only what is not there yet', async () => {
    await using database = await deployed('s3_killed', PAST)
    await using relay = await startRelay(server.endpoint)
    await writeFile(join(folder, 'killed.csv'), LONG)
    const to = `s3://${BUCKET}/${database.name}`
    relay.instead = (call) => (isPart(call) && call.includes('partNumber=3') ? 'hold' : undefined)
    const child = spawn(NODE_24, ['test/dataset/create-child.ts', folder, 'killed', to, relay.endpoint], {
      env: { ...process.env, DATABASE_URL: database.url },
      stdio: 'inherit',
    })
    const exited = once(child, 'exit')
    await eventually(() => expect(relay.calls.some((call) => call.includes('partNumber=3'))).toBe(true))
    child.kill('SIGKILL')
    await exited
    expect(await objectsOf(database)).toEqual([])
    expect(await listDatasets(database.pool)).toEqual([])
    expect(await server.unfinished()).toEqual([`${database.name}/killed/data.parquet`])

    relay.instead = () => undefined
    const before = parts(relay)
    const said: string[] = []
    const made = await eventually(() =>
      // The lock on the name goes with the connection of the killed.
      createDataset(database.pool, requestFor(folder, { name: 'killed' }, to, at(relay.endpoint)), {
        ...quiet,
        say: (line) => void said.push(line),
      }),
    )
    expect(said).toEqual(['taking up an upload of 2 parts that was not finished'])
    expect(parts(relay) - before).toBe(1)
    await same(made, await makeIn(database, folder, { name: 'killed-local', list: LONG }))
    expect(await server.unfinished()).toEqual([])
  })

  test('an upload of another list that was killed is written over, and one that is not needed is aborted', async () => {
    await using database = await deployed('s3_other', PAST)
    await using relay = await startRelay(server.endpoint)
    relay.instead = (call) => (call.includes('partNumber=2') || call.startsWith('DELETE') ? 'hold' : undefined)
    const controller = new AbortController()
    const stopped = make(database, 'other', LONG, relay.endpoint, controller.signal)
    await eventually(() => expect(relay.calls.some((call) => call.includes('partNumber=2'))).toBe(true))
    controller.abort(new Error('stopped'))
    await relay[Symbol.asyncDispose]()
    await expect(stopped).rejects.toThrow('stopped')
    expect(await server.unfinished()).toHaveLength(1)
    await same(
      await make(database, 'other', SHORT, server.endpoint),
      await makeIn(database, folder, { name: 'other-local', list: SHORT }),
    )
    expect(await server.unfinished()).toEqual([])
  })

  test('stopped by whoever waits: the upload is aborted', async () => {
    await using database = await deployed('s3_stopped', PAST)
    await using relay = await startRelay(server.endpoint)
    const controller = new AbortController()
    relay.instead = (call) => (call.includes('partNumber=2') ? 'hold' : undefined)
    const stopped = make(database, 'stopped', LONG, relay.endpoint, controller.signal)
    await eventually(() => expect(relay.calls.some((call) => call.includes('partNumber=2'))).toBe(true))
    controller.abort(new Error('stopped'))
    await expect(stopped).rejects.toThrow('stopped')
    expect(await objectsOf(database)).toEqual([])
    expect(await server.unfinished()).toEqual([])
  })

  test('S3 goes away in the middle, cuts connections and loses answers: it goes on, and the bytes are the same', async () => {
    await using database = await deployed('s3_away', PAST)
    await using relay = await startRelay(server.endpoint)
    await using proxy = await startProxy(Number(new URL(relay.endpoint).port))
    const lost = new Set<string>()
    relay.instead = (call) => {
      const kind = call.replace(/uploadId=[^&]*|\/[^?]*\//g, '')
      // The first answer to each kind of call that changes something never comes.
      if (!/^(PUT|POST)/.test(call) || lost.has(kind)) return undefined
      lost.add(kind)
      if (call.includes('partNumber=2')) proxy.set('refuse')
      if (call.includes('partNumber=3')) proxy.cut()
      return 'lose-answer'
    }
    const making = make(database, 'away', LONG, `http://127.0.0.1:${proxy.port}`)
    await eventually(() => expect([...lost].join()).toContain('partNumber=2'))
    const before = relay.calls.length
    expect(await objectsOf(database)).toEqual([])
    expect(await listDatasets(database.pool)).toEqual([])
    expect(relay.calls).toHaveLength(before)
    proxy.set('pass')
    const made = await making
    expect([...lost].length).toBeGreaterThanOrEqual(6)
    await same(made, await makeIn(database, folder, { name: 'away-local', list: LONG }))
    expect(await verifyDataset(database.pool, 'away', quiet)).toMatchObject({ problems: [] })
  })

  test('where another data set lies nothing is written over', async () => {
    await using database = await deployed('s3_taken', PAST)
    const first = await make(database, 'taken', SHORT, server.endpoint)
    await database.query('delete from rescore.dataset')
    await expect(make(database, 'taken', LONG, server.endpoint)).rejects.toMatchObject({ code: 'DATASET_FOLDER' })
    expect(await server.unfinished()).toEqual([])
    // As after a crash before it was listed.
    const again = await make(database, 'taken', SHORT, server.endpoint)
    expect(again.sha256).toBe(first.sha256)
    expect(await verifyDataset(database.pool, 'taken', quiet)).toMatchObject({ problems: [] })
  })

  test('another manifest that appears at the last moment is not written over', async () => {
    await using database = await deployed('s3_race', PAST)
    await using relay = await startRelay(server.endpoint)
    const Key = `${database.name}/race/manifest.json`
    let isThere = false
    relay.instead = (call) => {
      if (!call.startsWith('PUT') || !call.includes('data.parquet')) return undefined
      isThere = true
      void server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: '{}' }))
      return undefined
    }
    await expect(make(database, 'race', SHORT, relay.endpoint)).rejects.toMatchObject({ code: 'DATASET_FOLDER' })
    expect(isThere).toBe(true)
    expect(await listDatasets(database.pool)).toEqual([])
  })
})
