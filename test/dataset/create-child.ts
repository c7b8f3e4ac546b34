/** A process that makes a data set of the tests' shops: DATABASE_URL, then folder, name, destination, endpoint. */
import { createDataset } from '../../src/dataset/create.ts'
import { createPool } from '../../src/db/pool.ts'
import { requestFor } from '../support/datasets.ts'

const [folder = '', name = '', to = '', endpoint = ''] = process.argv.slice(2)
const url = process.env.DATABASE_URL
if (url === undefined) throw new Error('DATABASE_URL is not set.')
const pool = createPool({ url, applicationName: 'rescore dataset child', max: 2 })
const s3 = endpoint === '' ? null : { endpoint, region: 'us-east-1', pathStyle: true }
const { signal } = new AbortController()
const say = (line: string) => void process.stderr.write(`${line}\n`)
await createDataset(pool, { ...requestFor(folder, { name }, to), s3 }, { signal, say })
await pool.end()
