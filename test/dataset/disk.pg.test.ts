/** Folders that cannot take a data set: one that is full, one that may not be written, one in which another lies. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDataset } from '../../src/dataset/create.ts'
import { listDatasets } from '../../src/dataset/registry.ts'
import { verifyDataset } from '../../src/dataset/verify.ts'
import { asError } from '../../src/errors.ts'
import { deployed, makeIn, quiet, requestFor, temporaryFolder } from '../support/datasets.ts'
import type { PastRow } from '../support/past.ts'

const run = promisify(execFile)
const NODE_24 = resolve('node_modules/.bin/node')
const CHILD = resolve(import.meta.dirname, 'create-child.ts')
const PAST: readonly PastRow[] = [{ key: '1', op: 'insert', validAt: '2024-01-01', to: { visits: 1 } }]
const MIB = [
  'shop,seen,note',
  ...Array.from({ length: 30 }, () => `1,2024-02-01,${randomBytes(30_000).toString('base64')}`),
].join('\n')

let folder = ''
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A file system of its own, which ends with the shell that made it. */
const mounting = (script: string) => ['--map-root-user', '--mount', 'sh', '-ec', script, 'sh']
const why = await run('unshare', mounting('mount -t tmpfs none /mnt')).then(
  () => null,
  (error: unknown) => asError(error).message.trim(),
)
if (why !== null) process.stderr.write(`A full disk is not tried: no small file system can be mounted here (${why})\n`)

test.skipIf(why !== null)(
  'a disk that is full leaves nothing, and the same command works once there is room',
  async () => {
    await using database = await deployed('disk_full', PAST)
    await writeFile(join(folder, 'full.csv'), MIB)
    const to = join(folder, 'small')
    await mkdir(to)
    const script = `mount -t tmpfs -o size=256k none "$1"
    "$2" "$3" "$4" full "$1" && exit 9
    find "$1" -type f
    mount -o remount,size=16m "$1"
    "$2" "$3" "$4" full "$1"
    find "$1" -type f | sort`
    const { stdout, stderr } = await run('unshare', [...mounting(script), to, NODE_24, CHILD, folder], {
      env: { ...process.env, DATABASE_URL: database.url },
    })
    const told = stderr.split('\n').filter((line) => line.startsWith('{'))
    expect(told.map((line) => JSON.parse(line))).toEqual([
      {
        code: 'DATASET_FOLDER',
        message: expect.stringMatching(/small\/full cannot be used: ENOSPC/),
        mend: expect.stringMatching(/^Make room there .* the same command/),
      },
    ])
    const lines = stdout.split('\n').filter((line) => line.startsWith('/'))
    expect(lines).toEqual(['data.parquet', 'manifest.json'].map((name) => join(to, 'full', name)))
    expect((await listDatasets(database.pool)).map(({ name }) => name)).toEqual(['full'])
  },
)

test.skipIf(why !== null)('a folder that is read-only is named, with what to do', async () => {
  await using database = await deployed('disk_read_only', PAST)
  await writeFile(join(folder, 'fixed.csv'), 'shop,seen\n1,2024-02-01\n')
  const to = join(folder, 'read-only')
  await mkdir(to)
  const script = 'mount -t tmpfs -o ro none "$1"; exec "$2" "$3" "$4" fixed "$1"'
  const failed: unknown = await run('unshare', [...mounting(script), to, NODE_24, CHILD, folder], {
    env: { ...process.env, DATABASE_URL: database.url },
  }).catch((error: unknown) => error)
  expect(String(failed)).toMatch(/DATASET_FOLDER.*EROFS.*Give a folder with --to that this user may write/)
  expect(await listDatasets(database.pool)).toEqual([])
})

test('a folder with files that are not ours is used, and they are told when it is verified', async () => {
  await using database = await deployed('disk_others', PAST)
  await mkdir(join(folder, 'shared'))
  await writeFile(join(folder, 'shared', 'notes.txt'), 'mine')
  const list = 'shop,seen\n1,2024-02-01\n'
  await makeIn(database, folder, { name: 'shared', list })
  expect((await readdir(join(folder, 'shared'))).toSorted()).toEqual(['data.parquet', 'manifest.json', 'notes.txt'])
  const { problems } = await verifyDataset(database.pool, 'shared', quiet)
  expect(problems).toEqual(['notes.txt is there, but is no file of the data set'])
  await writeFile(join(folder, 'file.csv'), list)
  const onto = createDataset(database.pool, requestFor(folder, { name: 'file' }, join(folder, 'file.csv')), quiet)
  await expect(onto).rejects.toMatchObject({ code: 'DATASET_FOLDER', message: expect.stringContaining('ENOTDIR') })
})
