/**
 * What the chaos workload may do, as data: it can be generated from a seed, printed, shrunk and replayed.
 * Invariant: values are PostgreSQL's text form; keys are numbers, so that overlapping transactions can be kept to rows of
 * their own.
 */

export type TableName = 'company' | 'contact' | 'event' | 'deal' | 'item' | 'note'
export type Values = Readonly<Record<string, string | null>>
export type Label = 'primary' | 'other'

export type Bulk =
  /** 2,000 rows of their own keys. */
  | 'insert events'
  | 'move events'
  | 'delete events'
  /** Every row of a table. */
  | 'touch contacts'
  | 'move contacts'
  | 'stage deals'

export type Step =
  | { readonly op: 'insert'; readonly table: TableName; readonly key: number; readonly values: Values }
  | { readonly op: 'update'; readonly table: TableName; readonly key: number; readonly values: Values }
  /** Writes a new version of the row with the same values. */
  | { readonly op: 'same'; readonly table: TableName; readonly key: number }
  | { readonly op: 'delete'; readonly table: TableName; readonly key: number }
  | { readonly op: 'rekey'; readonly table: TableName; readonly key: number; readonly to: number }
  | { readonly op: 'link' | 'unlink'; readonly deal: number; readonly company: number; readonly label: Label }
  | { readonly op: 'relink'; readonly deal: number; readonly company: number; readonly to: number }
  | { readonly op: 'relabel'; readonly deal: number; readonly company: number; readonly label: Label }
  | { readonly op: 'truncate'; readonly table: 'note' | 'item' }
  | { readonly op: 'bulk'; readonly bulk: Bulk; readonly by: number }
  /** The steps inside a savepoint that is rolled back. */
  | { readonly op: 'undone'; readonly steps: readonly Step[] }

export interface Transaction {
  readonly steps: readonly Step[]
  readonly end: 'commit' | 'rollback'
}

export type Action =
  | { readonly kind: 'transactions'; readonly transactions: readonly Transaction[] }
  /** All open at once on connections of their own, ended in reverse order of their beginning. */
  | { readonly kind: 'overlapping'; readonly transactions: readonly Transaction[] }
  /** A calm moment: what was done before is in batches of its own. */
  | { readonly kind: 'calm' }

/** Moves a step to keys of its own lane, so that open transactions never wait for each other's rows. */
export function inLane(step: Step, lane: number, lanes: number): Step {
  const own = (key: number) => key - (key % lanes) + lane
  if ('key' in step) {
    return step.op === 'rekey' ? { ...step, key: own(step.key), to: own(step.to) } : { ...step, key: own(step.key) }
  }
  if ('deal' in step) return { ...step, deal: own(step.deal) }
  if (step.op === 'undone') return { ...step, steps: step.steps.map((inner) => inLane(inner, lane, lanes)) }
  return step
}
