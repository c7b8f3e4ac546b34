/**
 * An entity's features compiled for the engine: what each reads, from which slot of a loaded row, and who reads it.
 *
 * Invariant: a slot is one SQL expression; features that need the same expression share it, and slots over the same path
 * share one scan. Compiled once per graph.
 */

import { quoteIdent } from '../db/pool.ts'
import {
  type AnyInput,
  type ColumnInput,
  columnOf,
  FEATURE_POSTGRES_TYPE,
  type Hop,
  type Window,
} from '../define/index.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { keyType } from '../graph/key-type.ts'
import { aggregateSql, type Expression } from './aggregate-sql.ts'
import { decoderOf, readSql } from './decode.ts'
import { pathId } from './routes.ts'
import { daysSinceBinding, periodBinding, type TimedBinding, windowedSql } from './timed.ts'
import { whereSql } from './where.ts'
import { type WindowSql, windowSql } from './window-sql.ts'

export interface Slot {
  /** Index into `Program.scans`; null: the entity's own row. */
  readonly scan: number | null
  readonly expression: Expression
  /** Filter on the rows of the scan; 'true' for none. */
  readonly filter: string
}

/** The rows that a path reaches, of a window those that have not left it. */
export interface Scan {
  readonly path: readonly Hop[]
  readonly window: WindowSql | null
}

/** Reads the text of one slot of a loaded row. */
export type ReadSlot = (slot: number) => string | null

export interface LoadedBinding {
  readonly kind: 'loaded'
  readonly alias: string
  readonly slots: readonly number[]
  decode(read: ReadSlot): unknown
}

export type Binding =
  | { readonly kind: 'feature'; readonly alias: string; readonly bit: number }
  | LoadedBinding
  | TimedBinding

export interface FeatureProgram {
  readonly node: FeatureNode
  readonly bindings: readonly Binding[]
  /** An input of its own knows the time. */
  readonly isTimed: boolean
}

export interface Program {
  readonly node: EntityNode
  /** PostgreSQL type of the entity's key. */
  readonly keyType: string
  /** In graph order: the index is the bit. */
  readonly features: readonly FeatureProgram[]
  readonly slots: readonly Slot[]
  readonly scans: readonly Scan[]
  readonly all: bigint
  /** Bits of the features of which an input of their own knows the time. */
  readonly timed: bigint
  /** Per bit: the feature and everything that reads it, directly or not. */
  readonly withReaders: readonly bigint[]
}

class SlotTable {
  readonly slots: Slot[] = []
  readonly scans: Scan[] = []
  readonly #slotIds = new Map<string, number>()
  readonly #scanIds = new Map<string, number>()

  scan(path: readonly Hop[], window?: Window): number {
    const id = `${pathId(path)} ${window === undefined ? '' : JSON.stringify(window)}`
    const known = this.#scanIds.get(id)
    if (known !== undefined) return known
    this.#scanIds.set(id, this.scans.length)
    return this.scans.push({ path, window: window === undefined ? null : windowSql(window, this.scans.length) }) - 1
  }

  slot(scan: number | null, expression: Expression, filter: string): number {
    const id = `${scan} ${expression(filter)}`
    const known = this.#slotIds.get(id)
    if (known !== undefined) return known
    this.#slotIds.set(id, this.slots.length)
    return this.slots.push({ scan, expression, filter }) - 1
  }
}

function bindColumn(alias: string, input: ColumnInput, table: SlotTable): LoadedBinding {
  const { kind } = columnOf(input.table, input.column)
  const decode = decoderOf(kind)
  const sql = readSql(`e.${quoteIdent(input.column)}`, kind)
  const slot = table.slot(null, () => sql, 'true')
  return {
    kind: 'loaded',
    alias,
    slots: [slot],
    decode: (read) => {
      const text = read(slot)
      return text === null ? null : decode(text)
    },
  }
}

function bind(alias: string, input: AnyInput, bits: ReadonlyMap<unknown, number>, table: SlotTable): Binding {
  if (input.input === 'feature') {
    const bit = bits.get(input)
    if (bit === undefined) throw new TypeError(`Feature '${input.name}' is not in the graph.`)
    return { kind: 'feature', alias, bit }
  }
  if (input.input === 'period') return periodBinding(alias, input)
  if (input.input === 'days-since') {
    const { slots, decode } = bindColumn(alias, input.of, table)
    return daysSinceBinding(alias, input, slots, decode)
  }
  if (input.input === 'column') return bindColumn(alias, input, table)
  const last = input.path.at(-1)
  if (last === undefined) throw new TypeError('An aggregate needs a path of at least one hop.')
  const filter = whereSql('r', last.table, input.where)
  const scan = table.scan(input.path, input.window)
  const window = table.scans[scan]?.window ?? null
  if (window !== null) {
    const { expressions, binding } = windowedSql(input, window)
    const slots = expressions.map((expression) => table.slot(scan, expression, filter))
    return binding(alias, slots)
  }
  const { expressions, decode } = aggregateSql(input)
  const slots = expressions.map((expression) => table.slot(scan, expression, filter))
  return { kind: 'loaded', alias, slots, decode: (read) => decode(slots.map(read)) }
}

export function compileProgram(node: EntityNode): Program {
  const bits = new Map<unknown, number>(node.features.map(({ feature, bit }) => [feature, bit]))
  const table = new SlotTable()
  const features = node.features.map((featureNode) => {
    const inputs = Object.entries(featureNode.feature.inputs)
    const bindings = inputs.map(([alias, input]) => bind(alias, input, bits, table))
    return { node: featureNode, bindings, isTimed: bindings.some(({ kind }) => kind === 'timed') }
  })
  const withReaders: bigint[] = []
  for (const { bit, readers } of node.features.toReversed()) {
    withReaders[bit] = readers.reduce((sum, reader) => sum | (withReaders[reader] ?? 0n), 1n << BigInt(bit))
  }
  return {
    node,
    keyType: keyType(node),
    features,
    slots: table.slots,
    scans: table.scans,
    timed: features.reduce((sum, { isTimed }, bit) => (isTimed ? sum | (1n << BigInt(bit)) : sum), 0n),
    all: (1n << BigInt(node.features.length)) - 1n,
    withReaders,
  }
}

/** `bits` and every feature that may have to follow them. */
export function reachableFrom(program: Program, bits: bigint): bigint {
  if (bits === program.all) return bits
  let reachable = bits
  program.withReaders.forEach((readers, bit) => {
    if (((bits >> BigInt(bit)) & 1n) === 1n) reachable |= readers
  })
  return reachable
}

export function featureType(program: FeatureProgram): string {
  return FEATURE_POSTGRES_TYPE[program.node.feature.type]
}
