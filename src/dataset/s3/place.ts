/**
 * A data set under a prefix of a bucket.
 * Invariant: objects appear whole (upload.ts), the manifest last; the bucket is asked before anything is made, so that a
 * wrong name, key or region is told at once.
 */
import { DeleteObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import { refuse } from '../errors.ts'
import type { Access, Draft, Place, RandomFile, S3Settings } from '../place.ts'
import { type Patience, S3Calls } from './calls.ts'
import { look, S3File } from './object.ts'
import { abortUploads } from './unfinished.ts'
import { Upload } from './upload.ts'

const ADDRESS = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[^/]+)*)\/*$/

function addressOf(folder: string): { readonly bucket: string; readonly prefix: string } {
  const [, bucket, path = ''] = ADDRESS.exec(folder) ?? []
  if (bucket !== undefined) return { bucket, prefix: path === '' ? '' : `${path.slice(1)}/` }
  throw refuse(
    'DATASET_S3_BUCKET',
    `${folder} is no address of a bucket.`,
    'Write s3://bucket/prefix: a bucket has 3 to 63 of a-z, 0-9, dot and dash.',
  )
}

class S3Place implements Place {
  readonly folder: string
  readonly s3: S3Settings
  readonly #calls: S3Calls
  readonly #prefix: string

  constructor(folder: string, s3: S3Settings, calls: S3Calls, prefix: string) {
    this.folder = folder
    this.s3 = s3
    this.#calls = calls
    this.#prefix = prefix
  }

  async draft(name: string, isNew: boolean): Promise<Draft> {
    return new Upload(this.#calls, { key: this.#prefix + name, isNew, folder: this.folder })
  }

  async open(name: string): Promise<RandomFile | null> {
    const key = this.#prefix + name
    const found = await look(this.#calls, key)
    return found && new S3File(this.#calls, key, found)
  }

  async names(): Promise<readonly string[]> {
    const names: string[] = []
    let from: { ContinuationToken?: string } = {}
    for (;;) {
      const list = new ListObjectsV2Command({ Bucket: this.#calls.bucket, Prefix: this.#prefix, ...from })
      const page = await this.#calls.call((client, options) => client.send(list, options))
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) names.push(Key.slice(this.#prefix.length))
      if (page.IsTruncated !== true || page.NextContinuationToken === undefined) return names
      from = { ContinuationToken: page.NextContinuationToken }
    }
  }

  /** Asks first, so that the right to delete is needed only where there is something. */
  async remove(name: string): Promise<void> {
    const key = this.#prefix + name
    await abortUploads(this.#calls, key)
    if ((await look(this.#calls, key)) === null) return
    const gone = new DeleteObjectCommand({ Bucket: this.#calls.bucket, Key: key })
    await this.#calls.call((client, options) => client.send(gone, options))
  }

  async settle(): Promise<void> {
    // An object that was acknowledged is durable.
  }

  explained(error: unknown): unknown {
    return error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls.close()
  }
}

/** @throws RescoreError DATASET_S3_… when the bucket cannot be listed */
export async function openS3Place(
  folder: string,
  settings: S3Settings,
  access: Access,
  patience?: Patience,
): Promise<Place> {
  const { bucket, prefix } = addressOf(folder)
  const calls = new S3Calls(bucket, settings, access, patience)
  try {
    const region = await calls.region()
    const list = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 })
    await calls.call((client, options) => client.send(list, options))
    return new S3Place(folder, { ...settings, region }, calls, prefix)
  } catch (error) {
    calls.close()
    throw error
  }
}
