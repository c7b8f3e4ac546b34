/**
 * A file on its way into a bucket, a part at a time.
 *
 * Invariant: nothing is staged on a disk; memory holds two parts, the one that fills and the one that is on its way. An
 * object appears whole or not at all: parts are put together by one call, after every part was acknowledged with the
 * SHA-256 that we computed. What fits in one part is put as one object.
 * A crash leaves an unfinished upload: the next try for the same object takes it up and sends only the parts whose bytes are not
 * there yet, which the same request makes none, because it makes the same bytes. Any other failure aborts it.
 */

import { createHash } from 'node:crypto'
import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import { lyingThere, refuse } from '../errors.ts'
import type { Draft } from '../place.ts'
import type { S3Calls } from './calls.ts'
import { look, put, sha256Of } from './object.ts'
import { abortOf, abortUploads, type FoundPart, holds, takeUpload } from './unfinished.ts'

const PART_BYTES = 8 * 1024 * 1024
/** As S3 has it. */
const MOST_PARTS = 10_000

interface Part {
  readonly PartNumber: number
  readonly ETag: string
  readonly ChecksumSHA256: string
}

/** Of an object that was put together of parts. */
function sha256OfParts(parts: readonly Part[]): string {
  const hash = createHash('sha256')
  for (const { ChecksumSHA256 } of parts) hash.update(Buffer.from(ChecksumSHA256, 'base64'))
  return `${hash.digest('base64')}-${parts.length}`
}

export interface UploadTarget {
  readonly key: string
  /** The object must not be there yet. */
  readonly isNew: boolean
  readonly folder: string
}

export class Upload implements Draft {
  readonly #calls: S3Calls
  readonly #target: UploadTarget
  readonly #parts: Part[] = []
  #found: ReadonlyMap<number, FoundPart> = new Map()
  #uploadId: string | null = null
  #filling = Buffer.allocUnsafe(PART_BYTES)
  #filled = 0
  #bytes = 0
  #underway: Promise<void> = Promise.resolve()
  /** Ends what is under way when the draft is given up. */
  readonly #stop = new AbortController()
  #isOver = false

  constructor(calls: S3Calls, target: UploadTarget) {
    this.#calls = calls
    this.#target = target
  }

  get #object() {
    return { Bucket: this.#calls.bucket, Key: this.#target.key }
  }

  async write(data: Uint8Array): Promise<void> {
    for (let taken = 0; taken < data.byteLength; ) {
      // Only when more comes: a file of exactly one part is no multipart upload.
      if (this.#filled === PART_BYTES) await this.#send()
      const piece = data.subarray(taken, taken + PART_BYTES - this.#filled)
      this.#filling.set(piece, this.#filled)
      this.#filled += piece.byteLength
      this.#bytes += piece.byteLength
      taken += piece.byteLength
    }
  }

  /** Hands the part over to be sent, once the one before has arrived. */
  async #send(): Promise<void> {
    await this.#underway
    this.#uploadId ??= await this.#begin()
    const data = this.#filling.subarray(0, this.#filled)
    const sending = this.#sendPart(this.#uploadId, this.#parts.length + 1, data)
    this.#underway = sending
    // Whoever comes next awaits it; until then nobody may.
    sending.catch(() => undefined)
    this.#filling = Buffer.allocUnsafe(PART_BYTES)
    this.#filled = 0
  }

  async #begin(): Promise<string> {
    const found = await takeUpload(this.#calls, this.#target.key)
    if (found !== null) {
      this.#found = found.parts
      this.#calls.say(`taking up an upload of ${found.parts.size} parts that was not finished`)
      return found.uploadId
    }
    const begin = new CreateMultipartUploadCommand({ ...this.#object, ChecksumAlgorithm: 'SHA256' })
    const { UploadId } = await this.#calls.call((client, options) => client.send(begin, options))
    if (UploadId === undefined) throw this.#broken('began an upload without naming it')
    return UploadId
  }

  async #sendPart(UploadId: string, PartNumber: number, data: Buffer): Promise<void> {
    if (PartNumber > MOST_PARTS) throw this.#broken(`takes ${MOST_PARTS} parts of 8 MiB, and this file has more`)
    const ChecksumSHA256 = sha256Of(data)
    const there = this.#found.get(PartNumber)
    if (there !== undefined && holds(there, data, ChecksumSHA256)) {
      this.#parts.push({ PartNumber, ETag: there.etag, ChecksumSHA256 })
      return
    }
    const part = new UploadPartCommand({ ...this.#object, UploadId, PartNumber, Body: data, ChecksumSHA256 })
    const stop = this.#stop.signal
    const { ETag } = await this.#calls.call((client, options) => client.send(part, options), { stop })
    if (ETag === undefined) throw this.#broken(`took part ${PartNumber} without naming it`)
    this.#parts.push({ PartNumber, ETag, ChecksumSHA256 })
  }

  #broken(what: string) {
    return refuse(
      'DATASET_S3_REFUSED',
      `The S3 server ${what} (${this.#target.key}).`,
      'Make several data sets of parts of the list, or use a server that follows the protocol.',
    )
  }

  async finish(): Promise<void> {
    if (this.#uploadId !== null && this.#filled > 0) await this.#send()
    await this.#underway
  }

  async publish(): Promise<void> {
    if (this.#uploadId === null) await this.#putWhole()
    else await this.#complete(this.#uploadId)
    this.#isOver = true
    // Whatever else was begun: by a killed process, or by a call whose answer was lost.
    await abortUploads(this.#calls, this.#target.key)
  }

  async #putWhole(): Promise<void> {
    const { key, isNew, folder } = this.#target
    const data = this.#filling.subarray(0, this.#filled)
    const isPut = await put(this.#calls, key, data, isNew)
    // An answer that was lost on the way looks the same as another's object.
    if (!(await this.#isThere(sha256Of(data))))
      throw isPut ? this.#broken('did not keep what it took') : lyingThere(folder)
  }

  async #complete(UploadId: string): Promise<void> {
    const together = new CompleteMultipartUploadCommand({
      ...this.#object,
      UploadId,
      MultipartUpload: { Parts: this.#parts },
    })
    // No such upload: put together, and the answer was lost; or aborted by somebody.
    await this.#calls.unless(['NoSuchUpload'], (client, options) => client.send(together, options))
    if (!(await this.#isThere(sha256OfParts(this.#parts)))) throw this.#broken('did not keep what it took')
  }

  async #isThere(sha256: string): Promise<boolean> {
    const found = await look(this.#calls, this.#target.key)
    if (found === null || found.bytes !== this.#bytes) return false
    // A server may tell the hash of the whole where we know that of the parts, or none.
    const isComparable = found.sha256 !== null && found.sha256.includes('-') === sha256.includes('-')
    return !isComparable || found.sha256 === sha256
  }

  async discard(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    this.#stop.abort(new Error('The file was given up.'))
    // Why it failed is told by whoever gave it up.
    await this.#underway.catch(() => undefined)
    if (this.#uploadId === null) return
    const abort = abortOf(this.#calls, this.#target.key, this.#uploadId)
    if (await this.#calls.tidy((client, options) => client.send(abort, options))) return
    this.#calls.say(`an unfinished upload of ${this.#target.key} is left; the same command takes it up`)
  }
}
