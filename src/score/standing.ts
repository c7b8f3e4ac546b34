/**
 * How keys stand in the stage's snapshot: the feature row a model reads and the classification stored for it.
 * Invariant: both sides are of one snapshot; a key without a feature row comes back with `features` null.
 */
import { type Client, quoteIdent, quoteTable } from '../db/pool.ts'
import { columnOf, POSTGRES_TYPE } from '../define/index.ts'
import type { EntityNode } from '../graph/graph.ts'
import type { StoredValue } from './encode.ts'
import type { Classification } from './label.ts'
import type { LoadedModel } from './registry.ts'

export interface FeatureRow {
  /** By place in `manifest.inputs`. */
  readonly values: readonly StoredValue[]
  /** LSN in text form. */
  readonly snapLsn: string
  readonly sourceAt: string | null
  readonly sourceAtMs: number | null
}

export interface Stored extends Classification {
  readonly modelVersion: string
  readonly artifactHash: string
  readonly fingerprint: string
}

export interface Standing {
  readonly key: string
  readonly features: FeatureRow | null
  readonly stored: Stored | null
}

/** PostgreSQL type of the entity's key, as in its feature table. */
export function keyType(node: EntityNode): string {
  return POSTGRES_TYPE[columnOf(node.entity.table, node.key).kind]
}

type Selected = {
  readonly key: string
  readonly snap_lsn: string | null
  readonly source_at: string | null
  readonly source_at_ms: number | null
  readonly label: string | null
  readonly probability: number
  readonly probabilities: readonly number[]
  readonly model_version: string
  readonly artifact_hash: string
  readonly fingerprint: string
} & { readonly [column: `f${number}`]: StoredValue }

function standingSql(loaded: LoadedModel, node: EntityNode): string {
  // Numbered, because a feature may be called like any other column here.
  const inputs = loaded.manifest.inputs.map(({ feature }, index) => `f.${quoteIdent(feature)} as f${index}`)
  // Lateral with a limit: one index look-up per key, whatever the planner believes of the tables' sizes.
  return `select k.key, f.snap_lsn::text as snap_lsn, f.source_at::text as source_at,
      (extract(epoch from f.source_at) * 1000)::double precision as source_at_ms,
      c.label, c.probability, c.probabilities, c.model_version, c.artifact_hash, c.fingerprint, ${inputs.join(', ')}
    from unnest($2::text[]) as k (key)
    left join lateral (
      select * from ${quoteTable(node.featureTable)} f where f.key = k.key::${keyType(node)} limit 1) f on true
    left join lateral (
      select * from rescore.classification c where c.model = $1 and c.key = k.key limit 1) c on true`
}

export async function readStanding(
  client: Client,
  loaded: LoadedModel,
  node: EntityNode,
  keys: readonly string[],
): Promise<readonly Standing[]> {
  const { rows } = await client.query<Selected>({
    name: `rescore-standing-${loaded.model.name}`,
    text: standingSql(loaded, node),
    values: [loaded.model.name, keys],
  })
  return rows.map((row): Standing => {
    const { key, snap_lsn: snapLsn, source_at: sourceAt, source_at_ms: sourceAtMs, label } = row
    // Every input has its column in the statement above.
    const values = () => loaded.manifest.inputs.map((_, index) => row[`f${index}`] ?? null)
    return {
      key,
      features: snapLsn === null ? null : { values: values(), snapLsn, sourceAt, sourceAtMs },
      stored:
        label === null
          ? null
          : {
              label,
              probability: row.probability,
              probabilities: row.probabilities,
              modelVersion: row.model_version,
              artifactHash: row.artifact_hash,
              fingerprint: row.fingerprint,
            },
    }
  })
}
