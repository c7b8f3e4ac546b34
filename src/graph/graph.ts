/**
 * Definitions compiled into a dependency graph: the one structure that recompute, score, verify and plan read.
 *
 * Invariants: features of an entity are in topological order (inputs before readers), their index in that order is
 * their bit; every `Reader` says exactly which features a column feeds and how to get from its row to the entity.
 */
import type { AnyEntity, AnyFeature, Hop, Model, Table } from '../define/index.ts'

export interface FeatureNode {
  readonly feature: AnyFeature
  /** Place in the topological order of its entity: the bit in every mask. */
  readonly bit: number
  /** Bits of the features that read this one directly. */
  readonly readers: readonly number[]
  /** sha-256 of the declaration and the source text of compute: warns, never decides. */
  readonly hash: string
}

export interface EntityNode {
  readonly entity: AnyEntity
  /** Name of the key column of the entity's table. */
  readonly key: string
  /** `rescore.features_<entity>` */
  readonly featureTable: string
  readonly features: readonly FeatureNode[]
  readonly models: readonly Model[]
}

/** What a change to `table` means: the entities at the end of `path`, and these features of them. */
export interface Reader {
  readonly entity: string
  /** Hops from the entity to the changed row; empty when the row is the entity's own. */
  readonly path: readonly Hop[]
  /** Whether the changed table is the association table of the last hop, rather than its target. */
  readonly viaAssociation: boolean
  /** Columns read there; `null` stands for existence (inserts and deletes always count). */
  readonly columns: ReadonlySet<string>
  /** Filter on the changed row when it is the aggregated one: rows that satisfy it neither before nor after feed nothing. */
  readonly where: Readonly<Record<string, unknown>> | null
  /** Bits of the features fed. */
  readonly bits: readonly number[]
}

export interface Graph {
  readonly entities: ReadonlyMap<string, EntityNode>
  readonly models: readonly Model[]
  /** `schema.name` to what reads it. */
  readonly readers: ReadonlyMap<string, readonly Reader[]>
  /** Every source table some input reads, association tables included. */
  readonly tables: readonly Table[]
}
