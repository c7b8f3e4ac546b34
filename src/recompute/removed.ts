/**
 * Features that are gone from the deployed definitions, and whose column is still in the feature table.
 * Invariant: a feature is either deployed or removed, never both; kept in the transaction of the deployment.
 */
import type { Client, Queryable } from '../db/pool.ts'
import type { FeatureNode } from '../graph/graph.ts'
import type { DeployedDefinition } from './definitions.ts'
import { plainArray, textArray } from './literals.ts'

export interface RemovedFeature {
  readonly entity: string
  readonly feature: string
  /** The last that was deployed. */
  readonly version: number
}

export async function readRemoved(database: Queryable): Promise<readonly RemovedFeature[]> {
  const { rows } = await database.query<RemovedFeature>('select entity, feature, version from rescore.removed_feature')
  return rows
}

export async function noteRemoved(client: Client, gone: readonly DeployedDefinition[]): Promise<void> {
  await client.query(
    `insert into rescore.removed_feature (entity, feature, version)
     select * from unnest($1::text[], $2::text[], $3::integer[])
     on conflict (entity, feature) do update set version = excluded.version, removed_at = clock_timestamp()`,
    [
      textArray(gone.map(({ entity }) => entity)),
      textArray(gone.map(({ feature }) => feature)),
      plainArray(gone.map(({ version }) => version)),
    ],
  )
}

/** They are deployed again: their column is taken up, stale by its epoch. */
export async function forgetRemoved(client: Client, entity: string, added: readonly FeatureNode[]): Promise<void> {
  if (added.length === 0) return
  await client.query('delete from rescore.removed_feature where entity = $1 and feature = any($2::text[])', [
    entity,
    textArray(added.map(({ feature }) => feature.name)),
  ])
}
