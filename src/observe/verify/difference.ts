/**
 * What verify reports: one entry per thing that is not as it should be.
 * Invariant: the kinds are a closed list, so that a script can act on them; a wrong value is named once, under the kind
 * nearest to its cause.
 */

export const DIFFERENCE_KINDS = [
  /** A stored feature value is not what its inputs give. */
  'feature-value',
  'feature-row-missing',
  /** A feature row whose entity does not exist. */
  'feature-row-extra',
  /** A feature row computed by an older definition than the deployed one. */
  'feature-stale',
  /** What the database says is deployed is not what the code says. */
  'definition',
  'classification-missing',
  'classification-extra',
  'label',
  'probability',
  /** Model version, artifact hash, fingerprint or position of a stored value is missing or wrong. */
  'provenance',
  /** History does not lead to what is stored. */
  'history',
  /** A feature that knows the time is not woken when it changes: no timer, a late one, one that does not fire; or one of nothing. */
  'timer',
  /** Kept aside without a reason, not kept aside with one, or for another reason. */
  'quarantine',
  /** A value that breaks a rule is not kept as such, or one is that does not. */
  'violation',
] as const
export type DifferenceKind = (typeof DIFFERENCE_KINDS)[number]

export interface Difference {
  readonly kind: DifferenceKind
  readonly entity: string
  /** Key of the entity in text form; null for a definition. */
  readonly key: string | null
  /** Name of the feature or model; null when the whole row is meant. */
  readonly what: string | null
  /** As stored; null when nothing is. */
  readonly stored: unknown
  /** As it should be; null when nothing should be there. */
  readonly expected: unknown
  readonly message: string
}

/** The same difference found again in a later round. */
export function identityOf({ kind, entity, key, what }: Difference): string {
  return JSON.stringify([kind, entity, key, what])
}
