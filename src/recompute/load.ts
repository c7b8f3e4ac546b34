/**
 * Loads entities for recomputing: their inputs as they are in the transaction's snapshot, and what is stored of them.
 * Invariant: the number of prepared statements is bounded, however the needed inputs vary.
 */
import type { Client } from '../db/pool.ts'
import { type FeatureType, type FeatureValue, latenessMs } from '../define/index.ts'
import type { Effect, OpenViolation } from './expect.ts'
import { textArray } from './literals.ts'
import { compileLoad, FIXED_COLUMNS, type LoadStatement, slotsOf } from './load-sql.ts'
import type { Program, ReadSlot } from './program.ts'
import type { WindowSql } from './window-sql.ts'

export interface Aside {
  /** The first that fails, in graph order. */
  readonly feature: string
  /** Of the definitions under which it failed. */
  readonly epoch: number
}

export interface LoadedRow {
  readonly key: string
  /** What the clock showed: whole milliseconds since 1970. */
  readonly nowMs: number
  /** Whether the entity's own row exists. */
  readonly exists: boolean
  /** Why the entity is put aside, if it is. */
  readonly aside: Aside | null
  /** Epoch of the stored feature row; null: there is none. */
  readonly epoch: number | null
  /** The backfill that computed the stored row silently; null: scoring has been told of it. */
  readonly silencedBy: bigint | null
  /** By bit; all null when there is no stored row. */
  readonly stored: readonly FeatureValue[]
  /** Features whose last computed value breaks a rule. */
  readonly open: ReadonlyMap<string, OpenViolation>
  readonly read: ReadSlot
}

/** Beyond this many sets of inputs, a statement loads all inputs of every table it touches, which are few sets. */
const EXACT_STATEMENTS = 64

function decodeStored(text: string, type: FeatureType): FeatureValue {
  if (type === 'text') return text
  return type === 'boolean' ? text === 'true' : Number(text)
}

const NONE: ReadonlyMap<string, OpenViolation> = new Map()

function decodeOpen(text: string | null): ReadonlyMap<string, OpenViolation> {
  if (text === null) return NONE
  const rows: readonly (readonly [string, Effect, FeatureValue, boolean])[] = JSON.parse(text)
  return new Map(rows.map(([feature, effect, value, isAccepted]) => [feature, { effect, value, isAccepted }]))
}

const asText = { getTypeParser: () => (value: string) => value }

export class Loader {
  readonly #program: Program
  readonly #absent: ReadonlySet<string>
  readonly #byBits = new Map<bigint, LoadStatement>()
  readonly #bySlots = new Map<string, LoadStatement>()

  /** @param absent features that have no column to hold a value of theirs yet */
  constructor(program: Program, absent: ReadonlySet<string> = new Set()) {
    this.#program = program
    this.#absent = absent
  }

  /**
   * One row per key, in no order. Inputs of features outside `bits` are not there to be read.
   * @param now milliseconds since 1970
   */
  async load(client: Client, bits: bigint, keys: readonly string[], now: number): Promise<readonly LoadedRow[]> {
    const { name, text, positions, windows } = this.#statement(bits)
    const nowMs = Math.floor(now)
    const { rows } = await client.query<(string | null)[]>({
      name,
      text,
      values: [textArray(keys), ...windows.flatMap((window) => this.#bounds(window, keys, nowMs))],
      rowMode: 'array',
      types: asText,
    })
    const { features } = this.#program
    return rows.map((row) => ({
      key: row[0] ?? '',
      nowMs,
      exists: row[1] === 'true',
      aside: typeof row[2] === 'string' ? { feature: row[2], epoch: Number(row[3]) } : null,
      epoch: row[4] === null ? null : Number(row[4]),
      silencedBy: typeof row[5] === 'string' ? BigInt(row[5]) : null,
      open: decodeOpen(row[6] ?? null),
      stored: features.map(({ node }, bit) => {
        const text = row[FIXED_COLUMNS + bit] ?? null
        return text === null ? null : decodeStored(text, node.feature.type)
      }),
      read: (slot) => {
        const position = positions[slot] ?? -1
        if (position < 0) throw new TypeError(`Slot ${slot} of ${name} was not loaded.`)
        return row[position] ?? null
      },
    }))
  }

  #bounds({ window, bounds }: WindowSql, keys: readonly string[], nowMs: number): readonly string[] {
    const { name } = this.#program.node.entity
    const pairs = keys.map((key) => bounds(nowMs - latenessMs(name, this.#printed(key), window.slackMs)))
    return [textArray(pairs.map(([from]) => from)), textArray(pairs.map(([, to]) => to))]
  }

  /** As PostgreSQL prints the key: whoever asks may have written 007. */
  #printed(key: string): string {
    return this.#program.keyType === 'text' || this.#program.keyType === 'uuid' ? key : String(BigInt(key))
  }

  #statement(bits: bigint): LoadStatement {
    const known = this.#byBits.get(bits)
    if (known !== undefined) return known
    let slots = slotsOf(this.#program, bits)
    if (this.#bySlots.size >= EXACT_STATEMENTS) slots = this.#wholeScans(slots)
    const id = [...slots].sort((a, b) => a - b).join(',')
    const statement = this.#bySlots.get(id) ?? compileLoad(this.#program, slots, this.#absent)
    this.#bySlots.set(id, statement)
    if (this.#byBits.size < 10 * EXACT_STATEMENTS) this.#byBits.set(bits, statement)
    return statement
  }

  #wholeScans(slots: ReadonlySet<number>): ReadonlySet<number> {
    const touched = new Set([...slots].map((slot) => this.#program.slots[slot]?.scan))
    return new Set(this.#program.slots.flatMap(({ scan }, slot) => (touched.has(scan) ? [slot] : [])))
  }
}
