/** What goes wrong between us and S3: each has its code, and is told before anything is made. */

import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openS3Place } from '../../src/dataset/s3/place.ts'
import { quiet } from '../support/datasets.ts'
import {
  BUCKET,
  CREDENTIALS,
  type Instead,
  moto,
  type Relay,
  type S3Server,
  s3Error,
  startRelay,
  startS3,
} from '../support/s3.ts'

const { program: python = '', why } = await moto()
const HTML = {
  status: 200,
  headers: { 'content-type': 'text/html' },
  body: '<!doctype html><html><body>It works!<br></body></html>',
}
const PATIENCE = { firstMs: 300, laterMs: 300 }

describe.skipIf(why !== undefined)('a bucket that cannot be used', () => {
  let server: S3Server
  let relay: Relay
  beforeAll(async () => {
    Object.assign(process.env, CREDENTIALS)
    server = await startS3(python)
    relay = await startRelay(server.endpoint)
  })
  afterAll(async () => {
    await relay?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })

  const open = async (
    endpoint: string,
    address = `s3://${BUCKET}/data/one`,
    say: (line: string) => void = quiet.say,
  ) => {
    const settings = { endpoint, region: 'us-east-1', pathStyle: true }
    await using place = await openS3Place(address, settings, { ...quiet, say }, PATIENCE)
    return place.s3
  }
  const refused = (endpoint: string, address?: string) => open(endpoint, address).catch((error: unknown) => error)
  const answering = async (instead: (call: number) => Instead) => {
    let calls = 0
    relay.instead = () => instead(calls++)
    return await refused(relay.endpoint)
  }

  test('a bucket that is not there, and an address that is none', async () => {
    expect(await refused(server.endpoint, 's3://other-bucket/x')).toMatchObject({
      code: 'DATASET_S3_BUCKET',
      fate: 'stop',
      message: expect.stringContaining("'other-bucket'"),
    })
    expect(await refused(server.endpoint, 's3://No_Bucket/x')).toMatchObject({ code: 'DATASET_S3_BUCKET' })
    expect(await refused(server.endpoint, 's3://')).toMatchObject({ code: 'DATASET_S3_BUCKET' })
    expect(await open(server.endpoint)).toEqual({ endpoint: server.endpoint, region: 'us-east-1', pathStyle: true })
  })

  test('keys that the server does not know, and none at all', async () => {
    await using strict = await startS3(python, { INITIAL_NO_AUTH_ACTION_COUNT: '0' }, null)
    expect(await refused(strict.endpoint)).toMatchObject({
      code: 'DATASET_S3_DENIED',
      fate: 'stop',
      message: expect.stringContaining('InvalidAccessKeyId'),
    })
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env
    delete process.env.AWS_ACCESS_KEY_ID
    process.env.AWS_EC2_METADATA_DISABLED = 'true'
    process.env.AWS_SHARED_CREDENTIALS_FILE = '/nowhere'
    try {
      expect(await refused(server.endpoint)).toMatchObject({
        code: 'DATASET_S3_DENIED',
        message: expect.stringContaining('no credentials'),
      })
    } finally {
      Object.assign(process.env, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY })
    }
  })

  test('nothing listens at the endpoint', async () => {
    const listener = createServer().listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const address = listener.address()
    listener.close()
    await once(listener, 'close')
    const port = typeof address === 'object' ? address?.port : 0
    expect(await refused(`http://127.0.0.1:${port}`)).toMatchObject({
      code: 'DATASET_S3_AWAY',
      fate: 'retry',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })

  test.each<[string, Instead, object]>([
    [
      'moved for good, as AWS says it',
      {
        ...s3Error(301, 'PermanentRedirect'),
        headers: { 'content-type': 'application/xml', 'x-amz-bucket-region': 'eu-north-1' },
      },
      { code: 'DATASET_S3_REGION', fate: 'stop', mend: expect.stringContaining('--s3-region eu-north-1') },
    ],
    [
      'signed for another region',
      s3Error(400, 'AuthorizationHeaderMalformed', '<Region>eu-west-1</Region>'),
      { code: 'DATASET_S3_REGION', mend: expect.stringContaining('eu-west-1') },
    ],
    ['another clock', s3Error(403, 'RequestTimeTooSkewed'), { code: 'DATASET_S3_CLOCK', fate: 'stop' }],
    ['a secret that is wrong', s3Error(403, 'SignatureDoesNotMatch'), { code: 'DATASET_S3_DENIED', fate: 'stop' }],
    ['no right to list', s3Error(403, 'AccessDenied'), { code: 'DATASET_S3_DENIED', fate: 'stop' }],
    ['no server of S3', HTML, { code: 'DATASET_S3_ENDPOINT', fate: 'stop' }],
    ['no server of S3 that knows the path', { ...HTML, status: 404 }, { code: 'DATASET_S3_ENDPOINT', fate: 'stop' }],
    ['no room', s3Error(507, 'InsufficientStorage'), { code: 'DATASET_S3_REFUSED', fate: 'stop' }],
    ['overload that lasts', s3Error(503, 'SlowDown'), { code: 'DATASET_S3_AWAY', fate: 'retry' }],
  ])('%s', async (_, answer, expected) => {
    expect(await answering(() => answer)).toMatchObject(expected)
  })

  test('overload that passes, and a clock that the SDK corrects, are not told', async () => {
    expect(await answering((call) => (call < 2 ? s3Error(503, 'SlowDown') : undefined))).toMatchObject({
      pathStyle: true,
    })
    expect(await answering((call) => (call < 1 ? s3Error(403, 'RequestTimeTooSkewed') : undefined))).toMatchObject({
      pathStyle: true,
    })
  })
})
