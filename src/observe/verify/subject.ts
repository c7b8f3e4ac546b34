/** One entity as the checks see it: what is stored about it, and what it gives from scratch. */
import type { EntityNode } from '../../graph/graph.ts'
import type { Outcome } from './compute.ts'
import type { Difference, DifferenceKind } from './difference.ts'
import type { Row } from './values.ts'

export interface Subject {
  readonly node: EntityNode
  /** Text form. */
  readonly key: string
  /** Null when the entity's own row does not exist. */
  readonly outcome: Outcome | null
  /** As it will be just before its timers are due; null where nothing of it knows the time. */
  readonly later: Outcome | null
  /** Feature name to the instant it is due, milliseconds since 1970. */
  readonly timers: ReadonlyMap<string, number>
  readonly features: Row | null
  /** Model name to row. */
  readonly classifications: ReadonlyMap<string, Row>
  readonly quarantine: Row | null
  /** Feature name to the rule that its value is kept as breaking. */
  readonly violations: ReadonlyMap<string, Row>
}

export function difference(
  subject: Subject,
  kind: DifferenceKind,
  details: Pick<Difference, 'what' | 'stored' | 'expected' | 'message'>,
): Difference {
  return { kind, entity: subject.node.entity.name, key: subject.key, ...details }
}
