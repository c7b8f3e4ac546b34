/**
 * Entities recomputed because somebody asks, not because something changed: what is asked for, and what it came to.
 *
 * Invariant: each entity asked for is counted exactly once.
 */
import { RescoreError } from '../errors.ts'
import { mask } from './affected.ts'
import { failureOf, type Job, type Outcome } from './outcome.ts'
import type { Program } from './program.ts'

export interface AskedEntities {
  readonly entity: string
  readonly keys: readonly string[]
  /** Names; empty: every feature. */
  readonly features: readonly string[]
  /** Also those that are up to date. */
  readonly isForced: boolean
  readonly job: Job
}

/** How many entities of which kind. */
export interface AskedDone {
  readonly changed: number
  readonly unchanged: number
  /** Up to date already. */
  readonly fresh: number
  readonly failed: number
  readonly gone: number
}

export function unknownEntity(entity: string): RescoreError {
  return new RescoreError({
    code: 'GRAPH_UNKNOWN_ENTITY',
    fate: 'stop',
    message: `There is no entity '${entity}' in this project.`,
    mend: 'See what there is: rescore features.',
  })
}

/** The features named; what reads them follows where their values move. @throws RescoreError FEATURE_UNKNOWN */
export function askedBits(program: Program, features: readonly string[]): bigint {
  if (features.length === 0) return program.all
  const bits = features.map((name) => {
    const bit = program.features.findIndex(({ node }) => node.feature.name === name)
    if (bit >= 0) return bit
    throw new RescoreError({
      code: 'FEATURE_UNKNOWN',
      fate: 'stop',
      message: `There is no feature '${name}' of ${program.node.entity.name}.`,
      mend: 'Another process may run other code: deploy the same everywhere.',
    })
  })
  return mask(bits)
}

/** @param count of the keys asked for; those that cannot be keys have no outcome */
export function doneOf(outcomes: readonly Outcome[], count: number): AskedDone {
  const done = { changed: 0, unchanged: 0, fresh: 0, failed: 0, gone: count - outcomes.length }
  for (const outcome of outcomes) {
    const { computed } = outcome
    if (computed === null) done.gone += 1
    else if (failureOf(outcome) !== null) done.failed += 1
    else if (computed.computed === 0 && outcome.row.silencedBy === null) done.fresh += 1
    else if (computed.moves.length > 0) done.changed += 1
    else done.unchanged += 1
  }
  return done
}
