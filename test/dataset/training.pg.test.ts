/**
 * From a running service to a model that serves: the real features of real companies are computed as the directory's changes
 * come, a data set is made of what was known at each date, the model is trained from it by scikit-learn, and what comes out is
 * loaded and scores.
 *
 * The data are not in the repository: without ../shared the tests are skipped with a notice.
 */
import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { hubspot } from '../../connectors/hubspot/index.ts'
import * as company from '../../features/company.ts'
import { growth } from '../../models/growth/model.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { createDataset, type DatasetRequest } from '../../src/dataset/create.ts'
import { defineConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { pathColumns } from '../../src/graph/path-columns.ts'
import { formatInstant } from '../../src/history/instant.ts'
import { readHorizon } from '../../src/history/read.ts'
import { loadModels } from '../../src/score/registry.ts'
import { calm, startIn } from '../chaos/running.ts'
import { quiet, rowsIn, temporaryFolder } from '../support/datasets.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { pythonWith } from '../support/python.ts'
import { BUCKET, CREDENTIALS, moto, startS3 } from '../support/s3.ts'
import { missingYcData } from '../yc-portal.ts'

const run = promisify(execFile)
const SLICE = resolve(import.meta.dirname, 'slice.py')
const TRAIN = resolve(import.meta.dirname, '../../models/growth/train.py')
const COMPANIES = 200
const UNTIL = '2025-01-15'

type Row = Readonly<Record<string, string | number | boolean | null>>
interface Slice {
  readonly steps: readonly {
    readonly date: string
    readonly companies: readonly Row[]
    readonly history: readonly Row[]
    readonly deleted: readonly number[]
  }[]
  readonly asked: readonly { readonly id: number; readonly date: string; readonly label: number }[]
}

const requirements = await readFile(resolve('models/training/requirements.txt'), 'utf8')
const missing = missingYcData('training.pg.test.ts')
const python = missing === null ? await pythonWith('training', requirements.trim().split('\n')) : null
const server = missing === null ? await moto() : null
const why = missing ?? python?.why ?? server?.why

async function apply({ query }: TestDatabase, { companies, history, deleted }: Slice['steps'][number]): Promise<void> {
  const columns = [
    'name',
    'website',
    'city',
    'industry',
    'description',
    'numberofemployees',
    'yc_one_liner',
    'yc_subindustry',
    'yc_tags',
    'yc_top_company',
    'yc_is_hiring',
    'yc_nonprofit',
    'yc_batch',
    'yc_status',
    'yc_regions',
    'yc_stage',
  ]
  await query(
    `with landed as (
       insert into hubspot.companies (id, ${columns.join(', ')})
       select id, ${columns.join(', ')} from json_populate_recordset(null::hubspot.companies, $1)
       on conflict (id) do update set ${columns.map((name) => `${name} = excluded.${name}`).join(', ')}
     ), told as (
       insert into hubspot.company_property_history (company_id, property, changed_at, value, source_type)
       select company_id, property, to_timestamp(changed_at / 1000), value, source_type
       from json_to_recordset($2) as h(company_id bigint, property text, changed_at bigint, value text, source_type text)
     )
     delete from hubspot.companies where id = any($3)`,
    [JSON.stringify(companies), JSON.stringify(history), deleted],
  )
}

/** A moment at which everything so far was known, and nothing later. */
async function moment(database: TestDatabase): Promise<string> {
  await calm(database)
  const { rows } = await database.query<{ at: string }>('select clock_timestamp()::text as at')
  return await eventually(async () => {
    const horizon = formatInstant(await readHorizon(database.pool))
    const past = await database.query<{ is: boolean }>('select $1::timestamptz > $2::timestamptz as is', [
      horizon,
      rows[0]?.at,
    ])
    if (past.rows[0]?.is !== true) throw new Error('Something is still under way.')
    return rows[0]?.at ?? ''
  })
}

async function lived(database: TestDatabase, { steps, asked }: Slice): Promise<string> {
  const config = defineConfig({ features: [company], models: [] })
  const connector = hubspot({ accessToken: 'none' })
  await prepareConnector({ pool: database.pool, connector, foreignKeys: pathColumns(compileGraph(config)) })
  await using _running = await startIn(database, config)
  const moments = new Map<string, string>()
  for (const step of steps) {
    await apply(database, step)
    moments.set(step.date, await moment(database))
  }
  const lines = asked.map(({ id, date, label }) => [id, moments.get(date), date, label].join(','))
  return ['id,observed_at,date,label', ...lines].join('\n')
}

test.skipIf(why !== undefined)(
  'a model trained from a data set in a bucket is, byte for byte, the one trained without Rescore; it is loaded and scores',
  { timeout: 600_000 },
  async () => {
    const folder = await temporaryFolder()
    const { program = '' } = python ?? {}
    await using s3 = await startS3(server?.program ?? '')
    await using database = await createTestDatabase('training')
    await run(program, [SLICE, String(COMPANIES), UNTIL, join(folder, 'slice.json')])
    const slice: Slice = JSON.parse(await readFile(join(folder, 'slice.json'), 'utf8'))
    const file = join(folder, 'labels.csv')
    await writeFile(file, await lived(database, slice))

    Object.assign(process.env, CREDENTIALS)
    const node = compileGraph(defineConfig({ features: [company], models: [] })).entities.get('company')
    if (node === undefined) throw new Error('There is no company.')
    const settings = { endpoint: s3.endpoint, region: 'us-east-1', pathStyle: true }
    const request: DatasetRequest = {
      name: 'growth-slice',
      node,
      features: node.features,
      file,
      key: 'id',
      at: 'observed_at',
      to: `s3://${BUCKET}/sets`,
      s3: settings,
    }
    const made = await createDataset(database.pool, request, quiet)
    expect(made.manifest.rows).toMatchObject({ served: slice.asked.length, rejected: 0, unknown: 0, deleted: 0 })

    const out = join(folder, 'trained')
    const environment = { env: { ...process.env, AWS_ENDPOINT_URL_S3: s3.endpoint } }
    const ask = [TRAIN, '--dataset', made.folder, '--date', 'date', '--version', '2', '--out', out]
    await run(program, ask, environment)
    const read = async (path: string) => JSON.parse(await readFile(join(folder, path), 'utf8'))
    const manifest = await read('trained/manifest.json')
    expect(manifest).toMatchObject({
      version: '2',
      sha256: (await read('direct/manifest.json')).sha256,
      trained_on: { dataset: 'growth-slice', sha256: made.sha256 },
    })
    expect(manifest.trained_on.definitions).toContainEqual({
      feature: 'log_team_size',
      version: 1,
      hash: made.manifest.features.find(({ name }) => name === 'log_team_size')?.hash,
    })
    expect(await readFile(join(out, 'MODEL_CARD.md'), 'utf8')).toContain(made.sha256)

    await using models = await loadModels([{ ...growth, folder: pathToFileURL(`${out}/`).href }])
    const [model] = models.models
    if (model === undefined) throw new Error('No model was loaded.')
    const rows = (await rowsIn(made)).slice(0, 100)
    const matrix = rows.flatMap((row) =>
      model.manifest.inputs.map(({ feature, missing: token }) => {
        const value = row[feature]
        return value === null ? (token === 'nan' ? Number.NaN : token) : Number(value)
      }),
    )
    const probabilities = await model.infer(Float32Array.from(matrix), rows.length)
    expect(new Set(probabilities).size).toBeGreaterThan(20)

    // What is not as it was made, or not what the script needs, trains nothing.
    const local = await createDataset(database.pool, { ...request, name: 'local', to: folder, s3: null }, quiet)
    expect(local.sha256).toBe(made.sha256)
    const refusal = async (...args: string[]) => {
      const failed: unknown = await run(program, [TRAIN, '--dataset', ...args, '--out', join(folder, 'none')]).catch(
        (error: unknown) => error,
      )
      return failed instanceof Error ? failed.message : 'It went well.'
    }
    expect(await refusal(join(folder, 'nowhere'))).toContain('manifest.json is not there')
    expect(await refusal(local.folder, '--date', 'date', '--test-from', '2024-05-13')).toContain('Label windows')
    const data = join(local.folder, 'data.parquet')
    const bytes = await readFile(data)
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
    await writeFile(data, bytes)
    expect(await refusal(local.folder)).toContain('other content than it was made with')
    const text = await readFile(join(local.folder, 'manifest.json'), 'utf8')
    await writeFile(join(local.folder, 'manifest.json'), text.replace('"served"', '"Served"'))
    expect(await refusal(local.folder)).toContain('other content than its hash says')
    await database.query(`update rescore.definition set version = 2 where feature = 'team_trend'`)
    const newer = await createDataset(database.pool, { ...request, name: 'newer', to: folder, s3: null }, quiet)
    expect(await refusal(newer.folder)).toContain('team_trend is of version 2, not 1')
    await rm(folder, { recursive: true })
  },
)
