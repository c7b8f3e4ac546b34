/**
 * Brings `rescore.model_definition` in line with the loaded models.
 * Invariant: a row is written only when it changed, so that `deployed_at` is when the model last did.
 */
import { ADVISORY_LOCK } from '../db/locks.ts'
import { type Pool, withTransaction } from '../db/pool.ts'
import { modelError } from './refuse.ts'
import type { Scorer } from './scorer.ts'

/** @throws RescoreError MODEL_FEATURES_MISSING */
export async function deployModels(pool: Pool, scorers: readonly Scorer[]): Promise<void> {
  await withTransaction(pool, {}, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.deployModels])
    for (const { loaded, node } of scorers) {
      const { model, version, artifactHash, manifest } = loaded
      const { rows } = await client.query<{ exists: boolean }>('select to_regclass($1) is not null as exists', [
        node.featureTable,
      ])
      if (rows[0]?.exists !== true) {
        throw modelError({
          code: 'MODEL_FEATURES_MISSING',
          model: model.name,
          message: `Model '${model.name}' reads ${node.featureTable}, which does not exist.`,
          mend: 'Start Rescore with the stage recompute: it makes the feature tables.',
        })
      }
      await client.query(
        `insert into rescore.model_definition as d (model, entity, version, artifact_hash, manifest)
         values ($1, $2, $3, $4, $5)
         on conflict (model) do update set entity = excluded.entity, version = excluded.version,
           artifact_hash = excluded.artifact_hash, manifest = excluded.manifest, deployed_at = clock_timestamp()
         where (d.entity, d.version, d.artifact_hash, d.manifest)
           is distinct from (excluded.entity, excluded.version, excluded.artifact_hash, excluded.manifest)`,
        [model.name, model.entity.name, version, artifactHash, JSON.stringify(manifest)],
      )
    }
    // Their classifications stay readable; without a definition nobody vouches for them.
    await client.query('delete from rescore.model_definition where model <> all($1)', [
      scorers.map(({ loaded }) => loaded.model.name),
    ])
  })
}
