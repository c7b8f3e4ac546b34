/**
 * Numbers of the advisory locks Rescore takes, in one place so that no two mean different things by one number.
 * Any fixed numbers would do: they only have to be ours and differ.
 */
export const ADVISORY_LOCK = {
  /** Held while migrations run. */
  migrate: 7_265_736_301n,
  /** Held while source tables are made. */
  sourceTables: 7_265_736_310n,
  /** Held while models are deployed. */
  deployModels: 7_265_736_311n,
  /** Held while features are deployed. */
  deployFeatures: 7_265_736_312n,
  /** Held from when an epoch is chosen until it is committed. */
  epochs: 7_265_736_314n,
  /** Held while deliveries are prepared. */
  prepareDeliveries: 7_265_736_313n,
  /** Held while rows of the histories are folded, and while a record is erased: neither may put back what the other took. */
  foldHistory: 7_265_736_315n,
  /** Held by the running service for as long as it runs. */
  service: 7_265_736_320n,
} as const

/** First half of the locks on data sets being made, whose second half is a hash of the name. */
export const DATASET_LOCK_CLASS = 726_573_634

/** First half of the locks on roles, whose second half is a hash of the role's name. */
export const ROLE_LOCK_CLASS = 726_573_633

/** First half of the locks on the past of entities, whose second half is a hash of the entity. */
export const HISTORY_LOCK_CLASS = 726_573_635

/** First half of the locks on the room for new nulls, whose second half is a hash of the entity's name. */
export const NULLS_LOCK_CLASS = 726_573_636
