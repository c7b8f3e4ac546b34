/**
 * The list on its way to the files: looked up piece by piece, and counted.
 * Invariant: rows leave in the order of the list; memory holds one piece, by rows and by text.
 */
import type { Client, Pool } from '../db/pool.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import type { Known } from '../history/fold.ts'
import { formatInstant } from '../history/instant.ts'
import { whileHeld } from '../history/kept.ts'
import type { DatasetFiles } from './files.ts'
import type { Label } from './labels.ts'
import { cellOf, type Layout } from './layout.ts'
import { lookUp, type Newest, newer } from './lookup.ts'
import type { ManifestContent } from './manifest.ts'
import type { Cell } from './parquet.ts'

interface Joined {
  readonly node: EntityNode
  readonly features: readonly FeatureNode[]
}

const PIECE = 1_000
const PIECE_CHARACTERS = 8 * 1024 * 1024
const UNKNOWN_LISTED = 10_000

/** Rows on their way to the files, and what is counted of them. */
export class Join {
  readonly #pool: Pool
  readonly #asked: Joined
  readonly #layout: Layout
  readonly #files: DatasetFiles
  readonly counts = { served: 0, rejected: 0, unknown: 0, deleted: 0, cut: 0, otherType: 0 }
  readonly #unknown = new Set<string>()
  #isListWhole = true
  newest: Newest | null = null

  constructor(pool: Pool, asked: Joined, layout: Layout, files: DatasetFiles) {
    this.#pool = pool
    this.#asked = asked
    this.#layout = layout
    this.#files = files
  }

  get unknown(): ManifestContent['unknown'] {
    return { keys: [...this.#unknown], isWhole: this.#isListWhole }
  }

  async serve(piece: readonly Label[]): Promise<void> {
    const { known, newest } = await lookUp(this.#pool, this.#asked.node.entity.name, piece)
    this.newest = newer(this.newest, newest)
    for (const [index, label] of piece.entries()) {
      const one = known[index]
      if (one === undefined) continue
      this.#count(label, one)
      await this.#files.rows.add([...this.#ownCells(label), ...this.#valueCells(one), one.recordedAt])
    }
  }

  #count({ key }: Label, known: Known): void {
    this.counts.served += 1
    if (known.isCut) this.counts.cut += 1
    if (known.wasDeleted) this.counts.deleted += 1
    if (known.recordedAt !== null) return
    this.counts.unknown += 1
    if (this.#unknown.has(key)) return
    if (this.#unknown.size < UNKNOWN_LISTED) this.#unknown.add(key)
    else this.#isListWhole = false
  }

  #ownCells({ fields, key, at }: Label): readonly Cell[] {
    const { labels, keyCell } = this.#layout
    return fields.map((field, index) =>
      index === labels.keyIndex ? keyCell(key) : index === labels.atIndex ? at : field,
    )
  }

  #valueCells(known: Known): readonly Cell[] {
    return this.#asked.features.map(({ feature }) => {
      const cell = cellOf(feature.type, known.values.get(feature.name)?.value ?? null)
      if (cell === undefined) this.counts.otherType += 1
      return cell ?? null
    })
  }
}

type List = AsyncIterable<{ readonly line: number; readonly fields: readonly string[] }>

interface JoinParts {
  /** A connection that is held until the end: the past of the entity stays as long. */
  readonly session: Client
  readonly entity: string
  readonly join: Join
  readonly files: DatasetFiles
  /** The record as a row to be served, or why it cannot be. */
  readonly accept: (fields: readonly string[]) => Label | string
}

/** Serves or rejects every row of the list, in its order; returns how many there were. */
export function joinAll(list: List, parts: JoinParts, signal: AbortSignal): Promise<number> {
  const { session, entity, accept } = parts
  return whileHeld(session, entity, (keptFrom) => {
    const isKept = ({ at }: Label) => keptFrom === null || at >= keptFrom
    const acceptKept = (fields: readonly string[]) => {
      const label = accept(fields)
      if (typeof label === 'string' || isKept(label)) return label
      return `its time is before ${formatInstant(keptFrom ?? 0n)}, where the past that is kept begins`
    }
    return joinList(list, { ...parts, accept: acceptKept }, signal)
  })
}

async function joinList(
  list: List,
  { join, files, accept }: Omit<JoinParts, 'session' | 'entity'>,
  signal: AbortSignal,
): Promise<number> {
  let piece: Label[] = []
  let characters = 0
  let rows = 0
  for await (const { line, fields } of list) {
    signal.throwIfAborted()
    rows += 1
    const label = accept(fields)
    if (typeof label === 'string') {
      join.counts.rejected += 1
      await files.reject({ line, reason: label, fields })
      continue
    }
    piece.push(label)
    characters += fields.reduce((sum, field) => sum + field.length, 0)
    if (piece.length < PIECE && characters < PIECE_CHARACTERS) continue
    await join.serve(piece)
    piece = []
    characters = 0
  }
  if (piece.length > 0) await join.serve(piece)
  signal.throwIfAborted()
  return rows
}
