/**
 * Computes one entity: only features that a dirty input reaches, in topological order, with cut-off.
 *
 * Invariants. A value equal to the stored one wakes no reader, and readers see the stored one. A row that is missing,
 * stale or put aside has nothing to be cut off against: what is stale and all that reads it is computed. The first
 * failing feature ends the entity's turn; nothing of it is half applied. An entity that is put aside is computed whole,
 * and only when something of what failed, or of what comes before it, can have changed: else it would fail the same way.
 * A value that breaks a rule and is held back (expect.ts) moves nothing: readers see the stored one.
 */
import { type FeatureValue, latenessMs } from '../define/index.ts'
import { asError, isRescoreError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import type { FeatureMove } from '../log/stage.ts'
import { ENOUGH_ROOM, judge, type NullRoom, refusalOf, type Violation } from './expect.ts'
import { type Inputs, withStrictInputs } from './inputs.ts'
import type { Aside, LoadedRow } from './load.ts'
import { type FeatureProgram, type Program, reachableFrom } from './program.ts'
import type { EntityTally } from './tally.ts'
import { areEqual, type Checked, checkValue, type Refusal } from './value.ts'

export interface Failure extends Refusal {
  readonly feature: string
  /** JSON of what compute was given; null where that is too long. */
  readonly inputs: string | null
}

export interface Computed {
  /** By bit: computed, or as stored. */
  readonly values: readonly FeatureValue[]
  readonly moves: readonly FeatureMove[]
  readonly failure: Failure | null
  /** Of what is expected; of an entity that is put aside, only what it is put aside for. */
  readonly violations: readonly Violation[]
  /** Features that broke a rule before and now pass. */
  readonly passed: readonly string[]
  readonly computed: number
  readonly needed: number
  /** Of each computed feature that has inputs which know the time, also of the one that failed. */
  readonly due: readonly Due[]
}

/** When an input of a feature's own changes next if nothing but time does. */
export interface Due {
  readonly bit: number
  /** Whole milliseconds since 1970, after the clock it was computed at; null: never. */
  readonly dueMs: number | null
}

/** What must be computed of a row before any value has moved. */
export interface Demand {
  /** Everything to compute in any case. */
  readonly forced: bigint
  /** What of it an input or a definition asks for; the rest is healing. */
  readonly needed: bigint
}

function changedAfter(epoch: number, changedIn: readonly number[]): bigint {
  let changed = 0n
  changedIn.forEach((at, bit) => {
    if (at > epoch) changed |= 1n << BigInt(bit)
  })
  return changed
}

/** Whether nothing that an entity's failure depends on has changed: the first feature that fails is still the first. */
function failsAsBefore(program: Program, aside: Aside, dirty: bigint, changedIn: readonly number[]): boolean {
  const failed = program.features.findIndex(({ node }) => node.feature.name === aside.feature)
  if (failed < 0 || changedAfter(aside.epoch, changedIn) !== 0n) return false
  return (reachableFrom(program, dirty) & ((2n << BigInt(failed)) - 1n)) === 0n
}

/**
 * @param dirty fed by what changed; null: nothing is known to have changed, and whoever asks wants to know
 * @param changedIn by bit: the epoch in which the feature last changed
 */
export function demandOf(program: Program, row: LoadedRow, dirty: bigint | null, changedIn: readonly number[]): Demand {
  const { aside, epoch, exists } = row
  if (!exists) return { forced: 0n, needed: 0n }
  if (aside !== null && dirty !== null && failsAsBefore(program, aside, dirty, changedIn))
    return { forced: 0n, needed: 0n }
  if (epoch === null) return { forced: program.all, needed: program.all }
  const stale = changedAfter(epoch, changedIn)
  const needed = (dirty ?? 0n) | (stale === 0n ? 0n : reachableFrom(program, stale))
  return { forced: aside === null ? needed : program.all, needed }
}

/** What is asked for whatever is known to have changed. */
export interface Asked {
  /** Features; what reads them follows where their values move. */
  readonly bits: bigint
  /** Also where they are up to date. */
  readonly isForced: boolean
}

export function demandAsked(program: Program, row: LoadedRow, asked: Asked, changedIn: readonly number[]): Demand {
  const stale = demandOf(program, row, null, changedIn)
  if (!row.exists || stale.forced === program.all || !asked.isForced) return stale
  const needed = stale.needed | asked.bits
  return { forced: stale.forced | asked.bits, needed }
}

const MAX_REASON = 500
const MAX_INPUTS = 2_000
/** The latest instant that Date knows. */
const MAX_DUE_MS = 8.64e15

function call(feature: FeatureProgram, inputs: Inputs, isStrict: boolean): Checked {
  const { feature: definition } = feature.node
  try {
    const value = isStrict
      ? withStrictInputs(definition.name, inputs, (guarded) => definition.compute(guarded))
      : definition.compute(inputs)
    return checkValue(definition.type, value)
  } catch (error) {
    if (isRescoreError(error) && error.code === 'FEATURE_UNDECLARED_INPUT') throw error
    const reason = asError(error).message.replaceAll('\0', '').slice(0, MAX_REASON).toWellFormed()
    return { refusal: { code: 'FEATURE_THREW', reason } }
  }
}

/** For the planted bug alone: what each value was before its last move. */
const beforeLast = new Map<string, FeatureValue>()

function isCutOff(feature: FeatureProgram, row: LoadedRow, value: FeatureValue, stored: FeatureValue): boolean {
  const { equal, name, entity } = feature.node.feature
  if (isPlanted('cut-off-on-wrong-value')) {
    const id = `${entity.name} ${row.key} ${name}`
    const isSame = areEqual(equal, value, beforeLast.get(id) ?? stored)
    if (!isSame) beforeLast.set(id, stored)
    return isSame
  }
  return areEqual(equal, value, stored)
}

/** 1 per set bit: read once per feature and entity, where bigint arithmetic would cost more than most features. */
function flagsOf(bits: bigint, count: number): Uint8Array {
  const flags = new Uint8Array(count)
  for (let from = 0; from < count; from += 32) {
    const word = Number(BigInt.asUintN(32, bits >> BigInt(from)))
    for (let bit = from; bit < Math.min(count, from + 32); bit += 1) flags[bit] = (word >>> (bit - from)) & 1
  }
  return flags
}

/** bigint and Date have no JSON of their own. */
function inputsJson(inputs: Inputs): string | null {
  const text = JSON.stringify(inputs, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
  return text.length > MAX_INPUTS || text.includes('\\u0000') ? null : text
}

/** Nothing of it is half applied. */
function failed(
  { stored }: LoadedRow,
  failure: Failure,
  rest: Pick<Computed, 'computed' | 'needed' | 'due'>,
  violations: readonly Violation[] = [],
): Computed {
  return { values: stored, moves: [], failure, violations, passed: [], ...rest }
}

/** What compute is called with, and when that changes if nothing but time does; infinite: never, or by nothing of its own. */
function inputsOf(
  { bindings, node }: FeatureProgram,
  { key, nowMs, read }: LoadedRow,
  values: readonly FeatureValue[],
): { readonly inputs: Inputs; readonly nextMs: number } {
  const inputs: Inputs = {}
  let nextMs = Infinity
  for (const binding of bindings) {
    if (binding.kind === 'timed') {
      const late = latenessMs(node.feature.entity.name, key, binding.slackMs)
      inputs[binding.alias] = binding.decode(read, nowMs - late)
      nextMs = Math.min(nextMs, binding.nextMs(read, nowMs - late) + late)
    } else {
      inputs[binding.alias] = binding.kind === 'feature' ? (values[binding.bit] ?? null) : binding.decode(read)
    }
  }
  return { inputs, nextMs }
}

/** @throws RescoreError FEATURE_UNDECLARED_INPUT in strict mode */
export function computeRow(
  program: Program,
  row: LoadedRow,
  demand: Demand,
  isStrict: boolean,
  tally: EntityTally | null = null,
  room: NullRoom = ENOUGH_ROOM,
): Computed {
  const values = [...row.stored]
  const moves: FeatureMove[] = []
  const violations: Violation[] = []
  const passed: string[] = []
  const forced = flagsOf(demand.forced, program.features.length)
  const needed = flagsOf(demand.needed, program.features.length)
  const due: Due[] = []
  let computed = 0
  let neededCount = 0
  for (const [bit, feature] of program.features.entries()) {
    if (forced[bit] === 0) continue
    const { inputs, nextMs } = inputsOf(feature, row, values)
    if (feature.isTimed) due.push({ bit, dueMs: nextMs <= MAX_DUE_MS ? nextMs : null })
    const checked = call(feature, inputs, isStrict)
    computed += 1
    if (tally !== null) tally.computed[bit] = (tally.computed[bit] ?? 0) + 1
    neededCount += needed[bit] ?? 0
    const { name } = feature.node.feature
    if ('refusal' in checked) {
      const failure = { feature: name, inputs: inputsJson(inputs), ...checked.refusal }
      return failed(row, failure, { computed, needed: neededCount, due })
    }
    const stored = row.stored[bit] ?? null
    const open = row.open.get(name)
    const standing = { stored, hasRow: row.epoch !== null, open, room }
    const violation = judge(feature.node.feature, checked.value, standing)
    if (violation?.effect === 'aside') {
      const failure = { feature: name, inputs: inputsJson(inputs), ...refusalOf(feature.node.feature, violation) }
      return failed(row, failure, { computed, needed: neededCount, due }, [violation])
    }
    if (violation !== null) violations.push(violation)
    else if (open !== undefined) passed.push(name)
    if (violation?.effect === 'held' && !isPlanted('blocked-value-read')) continue
    if (isCutOff(feature, row, checked.value, stored)) continue
    values[bit] = checked.value
    if (tally !== null) tally.moved[bit] = (tally.moved[bit] ?? 0) + 1
    moves.push({ feature: name, from: stored, to: checked.value })
    if (isPlanted('readers-forgotten')) continue
    for (const reader of feature.node.readers) {
      forced[reader] = 1
      needed[reader] = 1
    }
  }
  return { values, moves, failure: null, violations, passed, computed, needed: neededCount, due }
}
