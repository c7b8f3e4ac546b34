/** What a plan says: the definitions of the code against those that are deployed, and what deploying them would do. */
import type { FeatureValue, Otherwise } from '../define/index.ts'

export interface Mover {
  readonly key: string
  readonly from: FeatureValue
  readonly to: FeatureValue
}

export interface FeatureShadow {
  readonly feature: string
  /** Of the sample. */
  readonly changed: number
  /** The biggest moves of numbers, else the first. */
  readonly movers: readonly Mover[]
}

export interface LabelShadow {
  readonly model: string
  readonly compared: number
  readonly flipped: number
  readonly examples: readonly { readonly key: string; readonly from: string; readonly to: string }[]
}

export interface Sample {
  readonly entities: number
  /** Of them, with at least one value that would change. */
  readonly changed: number
  readonly failed: number
  readonly firstFailure: string | null
  readonly features: readonly FeatureShadow[]
  readonly labels: readonly LabelShadow[]
  readonly ms: number
}

/** A feature of which something else is expected than deployed. */
export interface ExpectationPlan {
  readonly feature: string
  /** null: nothing is expected any more. */
  readonly otherwise: Otherwise | null
  /** Every value is computed anew in any case; the sample says how many fail. */
  readonly isRecomputed: boolean
  /** Stored values that break it; null: computed anew, or too many to count in time. */
  readonly broken: number | null
}

export interface EntityPlan {
  readonly entity: string
  readonly added: readonly string[]
  /** Of another version. */
  readonly changed: readonly string[]
  /** Of the old version with other code: stored values are kept. */
  readonly edited: readonly string[]
  readonly expectations: readonly ExpectationPlan[]
  /** Reads one that is added or changed. */
  readonly readers: readonly string[]
  /** Its column and values stay until `rescore prune`. */
  readonly removed: readonly string[]
  /** Added and removed with the same code and inputs: a rename as it looks, computed anew like any added feature. */
  readonly renamed: readonly { readonly from: string; readonly to: string }[]
  /** Models of another version or artifact, or new: every entity is scored again. */
  readonly models: readonly string[]
  /** Models that read a feature that is added, changed or follows one. */
  readonly affectedModels: readonly string[]
  /** Rows that deploying would recompute. */
  readonly stale: { readonly count: number; readonly isExact: boolean }
  /** At the rate of the last backfill of this entity, or of the sample, which writes nothing. */
  readonly seconds: number | null
  readonly secondsBy: 'last backfill' | 'sample' | null
  readonly needsApproval: boolean
  /** More rows than this at once wait for a backfill to be approved. */
  readonly approveAbove: number
  /** Entities that deploying would score again, because a model is new or another; null: none is. */
  readonly scored: { readonly count: number; readonly isExact: boolean } | null
  /** Null: nothing that can be tried, or why it cannot in `unsampled`. */
  readonly sample: Sample | null
  readonly unsampled: string | null
}

export interface Refusal {
  readonly code: string
  readonly message: string
  readonly mend: string
}

export interface Plan {
  readonly isEmpty: boolean
  /** Why `rescore start` would deploy none of it. */
  readonly refusals: readonly Refusal[]
  /** What a person should look at before it is deployed, in words; of refusals too. */
  readonly decisions: readonly string[]
  readonly entities: readonly EntityPlan[]
  /** Entities and models that are deployed and gone from the code. */
  readonly removedEntities: readonly string[]
  readonly removedModels: readonly string[]
}
