/**
 * One object: put whole, looked at, read in ranges.
 * Invariant: what is put carries its SHA-256, which the server checks; what is read is of one version of the object, or an
 * error.
 */
import { createHash } from 'node:crypto'
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { refuse } from '../errors.ts'
import type { RandomFile } from '../place.ts'
import { ExpectedAnswer, type S3Calls } from './calls.ts'

export const sha256Of = (data: Uint8Array): string => createHash('sha256').update(data).digest('base64')

export interface Looked {
  readonly bytes: number
  readonly etag: string
  /** As S3 writes it: base64, of an upload in parts the hash of their hashes and `-<parts>`; null: not told. */
  readonly sha256: string | null
}

/** @returns null when there is no such object */
export async function look(calls: S3Calls, key: string): Promise<Looked | null> {
  const head = new HeadObjectCommand({ Bucket: calls.bucket, Key: key, ChecksumMode: 'ENABLED' })
  const found = await calls.unless(['NotFound', 'NoSuchKey'], (client, options) => client.send(head, options))
  if (found === undefined) return null
  return { bytes: found.ContentLength ?? 0, etag: found.ETag ?? '', sha256: found.ChecksumSHA256 ?? null }
}

/** @returns false when there is one already, and it was to be new */
export async function put(calls: S3Calls, key: string, Body: Uint8Array, isNew: boolean): Promise<boolean> {
  const whole = { Bucket: calls.bucket, Key: key, Body, ChecksumSHA256: sha256Of(Body) }
  const send = (command: PutObjectCommand, expected: readonly string[]) =>
    calls.call((client, options) => client.send(command, options), { expected })
  if (isNew) {
    try {
      await send(new PutObjectCommand({ ...whole, IfNoneMatch: '*' }), ['PreconditionFailed', 'NotImplemented'])
      return true
    } catch (error) {
      if (!(error instanceof ExpectedAnswer)) throw error
      if (error.code === 'PreconditionFailed') return false
      // A server without conditions: that nothing was there has been looked at a moment ago.
    }
  }
  await send(new PutObjectCommand(whole), [])
  return true
}

export class S3File implements RandomFile {
  readonly byteLength: number
  readonly #calls: S3Calls
  readonly #key: string
  readonly #etag: string

  constructor(calls: S3Calls, key: string, { bytes, etag }: Looked) {
    this.#calls = calls
    this.#key = key
    this.byteLength = bytes
    this.#etag = etag
  }

  /** A range that was cut short is asked for again. */
  async slice(start: number, end = this.byteLength): Promise<ArrayBuffer> {
    if (end <= start) return new ArrayBuffer(0)
    const get = new GetObjectCommand({
      Bucket: this.#calls.bucket,
      Key: this.#key,
      Range: `bytes=${start}-${end - 1}`,
      ...(this.#etag === '' ? {} : { IfMatch: this.#etag }),
    })
    const bytes = await this.#calls.unless(['PreconditionFailed', 'NoSuchKey'], async (client, options) => {
      const { Body } = await client.send(get, options)
      return await Body?.transformToByteArray()
    })
    if (bytes?.byteLength === end - start) return new Uint8Array(bytes).buffer
    throw refuse(
      'DATASET_FOLDER',
      `The object ${this.#key} became another one while it was read.`,
      'See who writes there; then the same command.',
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // No connection is held between two ranges.
  }
}
