/**
 * Where the files of a data set lie: what a folder and a bucket both can do.
 * Invariant: a file takes its name when it is whole, and only then; what is read is read in bounded pieces.
 */
import { createHash } from 'node:crypto'

/** A file on its way to its place. */
export interface Draft {
  /** The bytes are copied or written before this returns. */
  write(data: Uint8Array): Promise<void>
  /** Every byte is kept there, but nothing has the file's name yet. */
  finish(): Promise<void>
  publish(): Promise<void>
  /** Leaves nothing of what was not published; may be called whatever has become of it. */
  discard(): Promise<void>
}

/** As hyparquet reads: by offset. */
export interface RandomFile extends AsyncDisposable {
  readonly byteLength: number
  /** @param end default: the end of the file */
  slice(start: number, end?: number): Promise<ArrayBuffer>
}

/** How a bucket is reached. Credentials are no part of it: those are found where AWS's own tools find them. */
export interface S3Settings {
  /** Null: AWS. */
  readonly endpoint: string | null
  /** Null: as the environment or the profile says. */
  readonly region: string | null
  /** The bucket stands in the path, not in the name of the host. */
  readonly pathStyle: boolean
}

/** What goes to a place or comes from it can be stopped, and tells of long waits. */
export interface Access {
  readonly signal: AbortSignal
  /** A line for whoever waits. */
  say(line: string): void
}

export interface Place extends AsyncDisposable {
  /** As the registry keeps it: a path, or `s3://…`. */
  readonly folder: string
  /** Null for a local folder. */
  readonly s3: S3Settings | null
  /** @param isNew its name must still be free when it is published, where the place can hold us to that */
  draft(name: string, isNew: boolean): Promise<Draft>
  /** @returns null when there is no such file */
  open(name: string): Promise<RandomFile | null>
  /** Names of all whole files. */
  names(): Promise<readonly string[]>
  /** No matter whether it was there. */
  remove(name: string): Promise<void>
  /** What was published outlasts a loss of power. */
  settle(): Promise<void>
  /** An error of this place in our words; any other as it is. */
  explained(error: unknown): unknown
}

const PIECE_BYTES = 4 * 1024 * 1024

async function* piecesOf(file: RandomFile): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < file.byteLength; start += PIECE_BYTES) {
    yield new Uint8Array(await file.slice(start, Math.min(start + PIECE_BYTES, file.byteLength)))
  }
}

/** @returns null when there is no such file */
export async function readText(place: Place, name: string): Promise<string | null> {
  await using file = await place.open(name)
  return file === null ? null : new TextDecoder().decode(await file.slice(0, file.byteLength))
}

/** @returns null when there is no such file */
export async function hashFile(
  place: Place,
  name: string,
): Promise<{ readonly bytes: number; readonly sha256: string } | null> {
  await using file = await place.open(name)
  if (file === null) return null
  const hash = createHash('sha256')
  for await (const piece of piecesOf(file)) hash.update(piece)
  return { bytes: file.byteLength, sha256: hash.digest('hex') }
}
