/**
 * How keys stand in the stage's snapshot: the feature row a model reads and the classification stored for it.
 * Invariant: both sides are of one snapshot; a key without a feature row comes back with `features` null.
 */
import { type Client, exactTypes, quoteIdent, quoteTable } from '../db/pool.ts'
import type { EntityNode } from '../graph/graph.ts'
import { keyType } from '../graph/key-type.ts'
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

/** The columns of the statement below, in its order: objects of as many members would be slow to make. */
type Selected = [
  key: string,
  snapLsn: string | null,
  sourceAt: string | null,
  sourceAtMs: number | null,
  label: string | null,
  probability: number,
  probabilities: readonly number[],
  modelVersion: string,
  artifactHash: string,
  fingerprint: string,
  ...inputs: StoredValue[],
]
const INT8 = 20
/** Integers as numbers: a feature is a safe integer or refused. */
const asStored: typeof exactTypes = {
  getTypeParser: (oid, format) => (oid === INT8 ? Number : exactTypes.getTypeParser(oid, format)),
}

function standingSql(loaded: LoadedModel, node: EntityNode): string {
  const inputs = loaded.manifest.inputs.map(({ feature }) => `f.${quoteIdent(feature)}`)
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
    rowMode: 'array',
    types: asStored,
  })
  return rows.map((row): Standing => {
    const [key, snapLsn, sourceAt, sourceAtMs, label, probability, probabilities, ...rest] = row
    const [modelVersion, artifactHash, fingerprint, ...values] = rest
    return {
      key,
      features: snapLsn === null ? null : { values, snapLsn, sourceAt, sourceAtMs },
      stored: label === null ? null : { label, probability, probabilities, modelVersion, artifactHash, fingerprint },
    }
  })
}
