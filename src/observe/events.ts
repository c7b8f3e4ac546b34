/**
 * Turns what the service reports into lines for a person.
 *
 * Invariant: pure but for a bounded memory of the last recompute per entity, which gives a score its causes. First
 * loads are counted, not listed: a line means that something changed.
 */
import type { Cause, FeatureMove, StageEvent } from '../log/stage.ts'

const REMEMBERED = 10_000
const SHOWN_MOVES = 4
const SHOWN_CAUSES = 1
const SHOWN_CHARACTERS = 40

export interface EventLine {
  readonly kind: 'changed' | 'failed'
  readonly text: string
}

function value(of: unknown): string {
  if (of === null || of === undefined) return '∅'
  const text = typeof of === 'number' && !Number.isInteger(of) ? String(Number(of.toPrecision(4))) : String(of)
  // Control characters in CRM text must not reach the terminal.
  const safe = text.replace(/[\p{Cc}\p{Cf}]/gu, '·')
  return safe.length > SHOWN_CHARACTERS ? `${safe.slice(0, SHOWN_CHARACTERS)}…` : safe
}

function causeText(cause: Cause, entity: string, key: string): string {
  if (cause.op === 'time') return `time passed for ${cause.feature}`
  const isOwn = cause.table.endsWith(`.${entity}`) || cause.key === key
  const where = isOwn ? '' : `${cause.table} ${value(cause.key)} `
  if (cause.column === null) return `${where}${cause.op}`
  return `${where}${cause.column} ${value(cause.from)} → ${value(cause.to)}`
}

function listed<T>(items: readonly T[], shown: number, text: (item: T) => string): string {
  const rest = items.length - shown
  return items.slice(0, shown).map(text).join(', ') + (rest > 0 ? `, ${rest} more` : '')
}

interface Recomputed {
  readonly causes: readonly Cause[]
  readonly moves: readonly FeatureMove[]
}

export class EventLines {
  readonly #now: () => number
  readonly #last = new Map<string, Recomputed>()
  /** Entities classified for the first time. */
  firstClassified = 0
  changed = 0

  /** @param now milliseconds since 1970 */
  constructor(now: () => number) {
    this.#now = now
  }

  /** The line for one event, or null when it is not worth one. */
  add(event: StageEvent): EventLine | null {
    if (event.type === 'recomputed') return this.#remember(event)
    if (event.type === 'failed')
      return { kind: 'failed', text: `${event.stage}: ${event.code}: ${value(event.message)}` }
    if (event.type !== 'scored') return null
    if (event.from === null) {
      this.firstClassified += 1
      return null
    }
    this.changed += 1
    return { kind: 'changed', text: this.#scored(event, event.from) }
  }

  #remember(event: Extract<StageEvent, { type: 'recomputed' }>): null {
    const id = `${event.entity} ${event.key}`
    this.#last.delete(id)
    this.#last.set(id, { causes: event.causes, moves: event.moves })
    if (this.#last.size > REMEMBERED) {
      const oldest = this.#last.keys().next()
      if (!oldest.done) this.#last.delete(oldest.value)
    }
    return null
  }

  #scored(event: Extract<StageEvent, { type: 'scored' }>, from: { label: string; probability: number }): string {
    const { entity, key, to } = event
    const cause = this.#last.get(`${entity} ${key}`)
    const parts = [`${entity} ${value(key)}`]
    if (cause !== undefined && cause.causes.length > 0) {
      // What a person changed first: rows that came or went beside it say little to someone who watches.
      const says = (one: Cause) => one.op !== 'time' && one.column !== null
      const causes = [...cause.causes].sort((a, b) => Number(says(b)) - Number(says(a)))
      parts[0] += ` ${listed(causes, SHOWN_CAUSES, (one) => causeText(one, entity, key))}`
    }
    if (cause !== undefined && cause.moves.length > 0) {
      const moves = listed(cause.moves, SHOWN_MOVES, (move) => `${move.feature} ${value(move.from)}→${value(move.to)}`)
      parts.push(`features ${moves}`)
    }
    parts.push(`${event.model} ${event.version}`)
    parts.push(`${from.label} ${from.probability.toFixed(2)} → ${to.label} ${to.probability.toFixed(2)}`)
    if (event.sourceAtMs !== null) parts.push(`${Math.max(0, Math.round(this.#now() - event.sourceAtMs))} ms`)
    return parts.join(' · ')
  }
}
