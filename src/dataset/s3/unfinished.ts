/**
 * Uploads of an object that were begun and never finished, as a killed process leaves them.
 * Invariant: one of them at most is taken up, the newest; the others are aborted, so that none is paid for for ever.
 */
import { createHash } from 'node:crypto'
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3'
import type { S3Calls } from './calls.ts'

export interface FoundPart {
  readonly etag: string
  readonly size: number
  /** Base64; null: the server does not tell. */
  readonly sha256: string | null
}

export interface FoundUpload {
  readonly uploadId: string
  readonly parts: ReadonlyMap<number, FoundPart>
}

/** Whether these very bytes are there. A server that tells no SHA-256 has their MD5 for an ETag. */
export function holds({ etag, size, sha256 }: FoundPart, data: Uint8Array, ofData: string): boolean {
  if (size !== data.byteLength) return false
  if (sha256 !== null) return sha256 === ofData
  return etag.replaceAll('"', '') === createHash('md5').update(data).digest('hex')
}

async function unfinished(
  calls: S3Calls,
  key: string,
): Promise<readonly { readonly id: string; readonly at: number }[]> {
  const found: { id: string; at: number }[] = []
  let from: { KeyMarker?: string; UploadIdMarker?: string } = {}
  for (;;) {
    const list = new ListMultipartUploadsCommand({ Bucket: calls.bucket, Prefix: key, ...from })
    const page = await calls.call((client, options) => client.send(list, options))
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === key && UploadId !== undefined) found.push({ id: UploadId, at: Initiated?.getTime() ?? 0 })
    }
    const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = page
    // Keys come in order, so those of this key alone stand at the beginning.
    if (IsTruncated !== true || NextKeyMarker !== key) return found
    from = { KeyMarker: NextKeyMarker, ...(NextUploadIdMarker ? { UploadIdMarker: NextUploadIdMarker } : {}) }
  }
}

async function partsOf(calls: S3Calls, key: string, UploadId: string): Promise<ReadonlyMap<number, FoundPart>> {
  const parts = new Map<number, FoundPart>()
  let from: { PartNumberMarker?: string } = {}
  for (;;) {
    const list = new ListPartsCommand({ Bucket: calls.bucket, Key: key, UploadId, ...from })
    const page = await calls.call((client, options) => client.send(list, options))
    for (const { PartNumber, ETag, Size, ChecksumSHA256 } of page.Parts ?? []) {
      if (PartNumber === undefined || ETag === undefined || Size === undefined) continue
      parts.set(PartNumber, { etag: ETag, size: Size, sha256: ChecksumSHA256 ?? null })
    }
    if (page.IsTruncated !== true || !page.NextPartNumberMarker) return parts
    from = { PartNumberMarker: page.NextPartNumberMarker }
  }
}

export const abortOf = (calls: S3Calls, key: string, UploadId: string) =>
  new AbortMultipartUploadCommand({ Bucket: calls.bucket, Key: key, UploadId })

/** An upload that is no longer there was aborted as well. */
async function abortUpload(calls: S3Calls, key: string, uploadId: string): Promise<void> {
  const abort = abortOf(calls, key, uploadId)
  await calls.unless(['NoSuchUpload'], (client, options) => client.send(abort, options))
}

/** @returns the newest, with its parts; the others are aborted */
export async function takeUpload(calls: S3Calls, key: string): Promise<FoundUpload | null> {
  const [newest, ...others] = (await unfinished(calls, key)).toSorted((a, b) => b.at - a.at)
  for (const { id } of others) await abortUpload(calls, key, id)
  return newest === undefined ? null : { uploadId: newest.id, parts: await partsOf(calls, key, newest.id) }
}

export async function abortUploads(calls: S3Calls, key: string): Promise<void> {
  for (const { id } of await unfinished(calls, key)) await abortUpload(calls, key, id)
}
