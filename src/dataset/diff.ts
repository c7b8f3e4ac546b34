/**
 * What differs between two data sets: request, features, and rows of the same list.
 * Invariant: rows are compared one by one, in their order, a row group of each in memory; lists that differ are said to, and
 * their rows are not guessed together.
 */
import type { Queryable } from '../db/pool.ts'
import { isRescoreError } from '../errors.ts'
import { refuse } from './errors.ts'
import type { FileEntry } from './hashed-file.ts'
import { type ReadRow, readParquet } from './parquet.ts'
import type { Access } from './place.ts'
import { openPlace } from './places.ts'
import { type DatasetEntry, readDataset } from './registry.ts'

export interface DatasetDiff {
  /** Hashes of the whole are equal: every byte is. */
  readonly isSame: boolean
  /** What was asked for differently, by name. */
  readonly request: Readonly<Record<string, { readonly a: string; readonly b: string }>>
  readonly added: readonly string[]
  readonly removed: readonly string[]
  /** Of another version or definition. */
  readonly changed: readonly { readonly feature: string; readonly a: string; readonly b: string }[]
  /** Null when the lists differ, and so their rows cannot be held against each other. */
  readonly rows: {
    readonly compared: number
    readonly differing: number
    /** Rows in which the column differs; columns of both, those without a difference left out. */
    readonly byColumn: Readonly<Record<string, number>>
    readonly examples: readonly {
      readonly row: number
      readonly column: string
      readonly a: string
      readonly b: string
    }[]
  } | null
}

const EXAMPLES = 10
const shown = (value: unknown) => (value === null || value === undefined ? '∅' : String(value))

function definitionsOf({ manifest }: DatasetEntry): ReadonlyMap<string, string> {
  return new Map(
    manifest.features.map(({ name, type, version, hash }) => [name, `${type} v${version} ${hash.slice(0, 12)}`]),
  )
}

function requestsOf(a: DatasetEntry, b: DatasetEntry): DatasetDiff['request'] {
  const said = ({ manifest: { entity, request, rows } }: DatasetEntry) => ({
    entity,
    list: request.entities.sha256,
    key: request.key,
    at: request.at,
    served: String(rows.served),
    rejected: String(rows.rejected),
  })
  const [ofA, ofB] = [said(a), said(b)]
  const names = ['entity', 'list', 'key', 'at', 'served', 'rejected'] as const
  return Object.fromEntries(
    names.flatMap((name) => (ofA[name] === ofB[name] ? [] : [[name, { a: ofA[name], b: ofB[name] }]])),
  )
}

function unreadable(name: string, why: string, cause?: unknown) {
  const mend = `Look what became of it: rescore dataset verify ${name}.`
  return refuse('DATASET_FOLDER', `The rows of '${name}' cannot be read: ${why}.`, mend, cause)
}

async function* rowsOf({ name, folder, s3, manifest }: DatasetEntry, access: Access): AsyncGenerator<ReadRow> {
  const data: FileEntry | undefined = manifest.files.find((file) => file.name.endsWith('.parquet'))
  if (data === undefined) return
  await using place = await openPlace(folder, s3, access)
  await using file = await place.open(data.name)
  if (file === null) throw unreadable(name, `${data.name} is not there`)
  try {
    for await (const rows of readParquet(file)) yield* rows
  } catch (error) {
    access.signal.throwIfAborted()
    if (!(error instanceof Error) || isRescoreError(error)) throw error
    throw unreadable(name, error.message, error)
  }
}

async function compareRows(a: DatasetEntry, b: DatasetEntry, access: Access): Promise<DatasetDiff['rows']> {
  const ofB = new Set(b.manifest.columns.map(({ name }) => name))
  const columns = a.manifest.columns.map(({ name }) => name).filter((name) => ofB.has(name))
  const byColumn: Record<string, number> = {}
  const examples: { row: number; column: string; a: string; b: string }[] = []
  let compared = 0
  let differing = 0
  const others = rowsOf(b, access)
  try {
    for await (const row of rowsOf(a, access)) {
      const other = await others.next()
      if (other.done === true) break
      compared += 1
      const moved = columns.filter((name) => row[name] !== other.value[name])
      if (moved.length > 0) differing += 1
      for (const column of moved) {
        byColumn[column] = (byColumn[column] ?? 0) + 1
        if (examples.length < EXAMPLES) {
          examples.push({ row: compared, column, a: shown(row[column]), b: shown(other.value[column]) })
        }
      }
    }
  } finally {
    await others.return(undefined)
  }
  return { compared, differing, byColumn, examples }
}

/** @throws RescoreError DATASET_UNKNOWN, DATASET_FOLDER, DATASET_S3_… */
export async function diffDatasets(db: Queryable, nameA: string, nameB: string, access: Access): Promise<DatasetDiff> {
  const [a, b] = [await readDataset(db, nameA), await readDataset(db, nameB)]
  const [ofA, ofB] = [definitionsOf(a), definitionsOf(b)]
  const request = requestsOf(a, b)
  return {
    isSame: a.sha256 === b.sha256,
    request,
    added: [...ofB.keys()].filter((name) => !ofA.has(name)),
    removed: [...ofA.keys()].filter((name) => !ofB.has(name)),
    changed: [...ofA].flatMap(([feature, was]) => {
      const is = ofB.get(feature)
      return is === undefined || is === was ? [] : [{ feature, a: was, b: is }]
    }),
    rows: Object.keys(request).length > 0 ? null : await compareRows(a, b, access),
  }
}
