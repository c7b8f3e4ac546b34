/**
 * What an answer of S3, or none, means: whether to try again, and what the reader does about it.
 * Invariant: pure. Names of buckets, endpoints and codes are told, credentials never.
 */
import { type Fate, RescoreError } from '../../errors.ts'

export interface Whereabouts {
  readonly bucket: string
  /** As it is shown: the endpoint, or AWS. */
  readonly server: string
}

/** What the SDK's errors have in common, read without believing any of it. */
export interface Failure {
  readonly name: string
  /** Of the network, or empty. */
  readonly code: string
  /** HTTP status; 0: no answer. */
  readonly status: number
  readonly message: string
  /** Where S3 says that the bucket is. */
  readonly region: string | null
}

function member(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? Reflect.get(of, name) : undefined
}

export function failureOf(error: unknown): Failure {
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : error
  const status = member(member(inner, '$metadata'), 'httpStatusCode')
  const headers = member(member(inner, '$response'), 'headers')
  const region = member(headers, 'x-amz-bucket-region') ?? member(inner, 'Region')
  const code = member(inner, 'code')
  return {
    name: inner instanceof Error ? inner.name : '',
    code: typeof code === 'string' ? code : '',
    status: typeof status === 'number' ? status : 0,
    message: inner instanceof Error ? inner.message || inner.name : String(inner),
    region: typeof region === 'string' && region !== '' ? region : null,
  }
}

const NETWORK = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'],
  ...['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ERR_STREAM_PREMATURE_CLOSE', 'UND_ERR_SOCKET', 'ENETDOWN'],
])
const PASSING = new Set([
  ...['TimeoutError', 'RequestTimeout', 'SlowDown', 'ServiceUnavailable', 'InternalError', 'ThrottlingException'],
  // Damaged on the way: what is sent again may arrive whole.
  ...['BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch', 'ConditionalRequestConflict'],
])

/** Whether the same call may go well later. 501 and 507 say that it will not. */
export function isPassing({ name, code, status, message }: Failure): boolean {
  if (NETWORK.has(code) || PASSING.has(name) || status === 429) return true
  if (status >= 500) return status !== 501 && status !== 507
  return status === 0 && /socket hang up|premature close|aborted/i.test(message)
}

export const CLOCK = new Set(['RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture'])
const REGION = new Set([
  ...['PermanentRedirect', 'TemporaryRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'],
])
const NO_KEYS = new Set(['CredentialsProviderError', 'TokenProviderError', 'SSOTokenProviderFailure'])
const DENIED = new Set([
  ...['AccessDenied', 'AllAccessDisabled', 'AccountProblem', 'InvalidAccessKeyId', 'SignatureDoesNotMatch'],
  ...['InvalidToken', 'ExpiredToken', 'TokenRefreshRequired', 'Forbidden', 'InvalidSecurity', 'NotSignedUp'],
])
const NEEDED =
  's3:ListBucket, GetObject, PutObject, AbortMultipartUpload, ListBucketMultipartUploads, ListMultipartUploadParts'

type Told = readonly [code: string, fate: Fate, message: string, mend: string]

function told({ name, code, status, message, region }: Failure, { bucket, server }: Whereabouts): Told {
  const said = name === '' || name === 'Error' ? message : `${name}: ${message}`
  if (CLOCK.has(name)) {
    const why = `The clock of this machine differs from that of ${server} by too much (${name}).`
    return ['DATASET_S3_CLOCK', 'stop', why, 'Set the clock (timedatectl set-ntp true); then the same command.']
  }
  if (name === 'NoSuchBucket') {
    const mend = 'Make it, or name another with --to; other than AWS: --s3-endpoint URL.'
    return ['DATASET_S3_BUCKET', 'stop', `There is no bucket '${bucket}' at ${server}.`, mend]
  }
  if (REGION.has(name) || status === 301) {
    const mend = `Say which: --s3-region ${region ?? 'REGION'}, or AWS_REGION.`
    return ['DATASET_S3_REGION', 'stop', `The bucket '${bucket}' is in another region (${said}).`, mend]
  }
  if (/Region is missing/.test(message)) {
    const mend = 'Give --s3-region REGION, or set AWS_REGION.'
    return ['DATASET_S3_REGION', 'stop', `Nothing says which region the bucket '${bucket}' is in.`, mend]
  }
  if (NO_KEYS.has(name)) {
    const mend = 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role of the machine.'
    return ['DATASET_S3_DENIED', 'stop', `There are no credentials for ${server}: ${message}`, mend]
  }
  if (DENIED.has(name) || status === 401 || status === 403) {
    const mend = `Check the credentials, and that they allow ${NEEDED} on '${bucket}'.`
    return ['DATASET_S3_DENIED', 'stop', `${server} does not let us use the bucket '${bucket}' (${said}).`, mend]
  }
  if (isPassing({ name, code, status, message, region })) {
    const mend = 'See that it runs and that the endpoint is right (--s3-endpoint); then the same command takes up.'
    return ['DATASET_S3_AWAY', 'retry', `${server} does not answer (${code === '' ? said : code}).`, mend]
  }
  if (status === 0 || /Deserialization|SyntaxError|char '.*' is not expected/.test(said)) {
    const mend = 'Give the address of the S3 API, not of a console or another server: --s3-endpoint URL.'
    return ['DATASET_S3_ENDPOINT', 'stop', `What answers at ${server} is no S3 (${said}).`, mend]
  }
  const mend = 'See what the code means for this server; then the same command takes up.'
  return ['DATASET_S3_REFUSED', 'stop', `${server} refused (HTTP ${status}, ${said}).`, mend]
}

export function explainedS3(error: unknown, where: Whereabouts): RescoreError {
  const [code, fate, message, mend] = told(failureOf(error), where)
  return new RescoreError({ code, fate, message, mend, cause: error })
}
