/**
 * Timers of one entity: whether each feature that knows the time is woken when it changes, and no other.
 *
 * Invariants: a feature is true until its timer, so one that waits for it is held against the instant before (that it has
 * waited too long is told elsewhere, timers.ts). And it must not change before its timer, or ever without one: it is
 * computed once more at the instant before, or a hundred years from now.
 */
import type { AnyInput } from '../../define/index.ts'
import type { EntityNode } from '../../graph/graph.ts'
import { isSame } from './compute.ts'
import type { Difference } from './difference.ts'
import { difference, type Subject } from './subject.ts'

/** Feature name to the instant it is due, milliseconds since 1970. */
export type Timers = ReadonlyMap<string, number>

const HUNDRED_YEARS_MS = 36_525 * 86_400_000

function knowsTime(input: AnyInput): boolean {
  return (
    input.input === 'period' ||
    input.input === 'days-since' ||
    (input.input === 'aggregate' && input.window !== undefined)
  )
}

/** Names of the features that have an input of their own that knows the time. */
export function timedFeatures(node: EntityNode): ReadonlySet<string> {
  const timed = node.features.filter(({ feature }) => Object.values(feature.inputs).some(knowsTime))
  return new Set(timed.map(({ feature }) => feature.name))
}

/** The last instant known at which what is stored is to be true: now, or before what is due already. */
export function trueAt(timers: Timers, feature: string, nowMs: number): number {
  return Math.min(nowMs, (timers.get(feature) ?? Infinity) - 1)
}

/** The last instant at which what is stored will be true if nothing but time passes. */
export function trueUntil(timers: Timers, feature: string, nowMs: number): number {
  return (timers.get(feature) ?? nowMs + HUNDRED_YEARS_MS) - 1
}

export function checkTimers(subject: Subject): readonly Difference[] {
  const { node, outcome, later, timers, features } = subject
  const timed = timedFeatures(node)
  const found: Difference[] = []
  const add = (what: string, stored: number | null, message: string) =>
    found.push(difference(subject, 'timer', { what, stored, expected: null, message }))
  for (const [feature, dueMs] of timers) {
    if (outcome === null) add(feature, dueMs, 'A timer is there, but the entity is not.')
    else if (!timed.has(feature)) add(feature, dueMs, 'A timer is there, but no feature of that name knows the time.')
  }
  if (outcome?.kind !== 'computed' || features === null || later === null) return found
  for (const { feature } of node.features) {
    const { name } = feature
    if (!timed.has(name)) continue
    const [now, then] = [
      outcome.fresh.get(name) ?? null,
      later.kind === 'computed' ? (later.fresh.get(name) ?? null) : null,
    ]
    const isKept = later.kind === 'computed' ? isSame(feature.equal, now, then) : later.feature !== name
    if (isKept) continue
    const dueMs = timers.get(name)
    if (dueMs === undefined) add(name, null, 'It changes as time passes, and no timer is there to wake it.')
    else add(name, dueMs, `It changes before it is due, ${new Date(dueMs).toISOString()}.`)
  }
  return found
}
