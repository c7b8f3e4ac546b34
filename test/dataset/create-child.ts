/**
 * A process that makes a data set of the tests' shops: DATABASE_URL, then folder of the list, name, destination, endpoint of S3.
 * What goes wrong is told as one line of JSON on stderr, with exit code 1.
 */
import { createDataset } from '../../src/dataset/create.ts'
import { createPool } from '../../src/db/pool.ts'
import { isRescoreError } from '../../src/errors.ts'
import { requestFor } from '../support/datasets.ts'

const [folder = '', name = '', to = '', endpoint = ''] = process.argv.slice(2)
const url = process.env.DATABASE_URL
if (url === undefined) throw new Error('DATABASE_URL is not set.')
const pool = createPool({ url, applicationName: 'rescore dataset child', max: 3 })
const s3 = endpoint === '' ? null : { endpoint, region: 'us-east-1', pathStyle: true }
const { signal } = new AbortController()
const say = (line: string) => void process.stderr.write(`${line}\n`)
try {
  await createDataset(pool, requestFor(folder, { name }, to, s3), { signal, say })
} catch (error) {
  if (!isRescoreError(error)) throw error
  const { code, message, mend } = error
  process.stderr.write(`${JSON.stringify({ code, message, mend })}\n`)
  process.exitCode = 1
} finally {
  await pool.end()
}
process.stdout.write(`${Math.round(process.resourceUsage().maxRSS / 1024)}\n`)
