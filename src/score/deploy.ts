/**
 * Brings `rescore.model_definition` in line with the loaded models, and tells whether they are the deployed ones.
 *
 * Invariants: a row is written only when it changed, so that `deployed_at` is when the model last did. Models that were
 * deployed before and replaced are deployed again only when that is asked for. Whoever shares the stage scores by models
 * that nobody changes until it commits, so no older model's classification lands on a newer one's.
 */
import { ADVISORY_LOCK } from '../db/locks.ts'
import { type Client, type Pool, type Queryable, withTransaction } from '../db/pool.ts'
import { noteRelease, replacedRelease } from '../db/release.ts'
import { RescoreError } from '../errors.ts'
import { modelError } from './refuse.ts'
import type { LoadedModel } from './registry.ts'
import type { Scorer } from './scorer.ts'

type Identity = Pick<LoadedModel, 'model' | 'version' | 'artifactHash'>

function membersOf(models: readonly Identity[]): readonly string[] {
  return models.map(({ model, version, artifactHash }) => `${model.name} ${version} ${artifactHash}`)
}

/** Why deploying these models would be refused; null: it would not. */
export async function findOutdatedModels(
  database: Queryable,
  models: readonly Identity[],
): Promise<RescoreError | null> {
  const replaced = await replacedRelease(database, 'models', membersOf(models))
  if (replaced === null) return null
  return new RescoreError({
    code: 'MODEL_OUTDATED',
    fate: 'stop',
    message: `These models were deployed on ${replaced.deployedAt} and replaced on ${replaced.replacedAt}.`,
    mend: 'Start with the models that are deployed; to go back on purpose, once: rescore start --rollback',
  })
}

async function assertTable(client: Client, { loaded: { model }, node }: Scorer): Promise<void> {
  const { rows } = await client.query<{ exists: boolean }>('select to_regclass($1) is not null as exists', [
    node.featureTable,
  ])
  if (rows[0]?.exists === true) return
  throw modelError({
    code: 'MODEL_FEATURES_MISSING',
    model: model.name,
    message: `Model '${model.name}' reads ${node.featureTable}, which does not exist.`,
    mend: 'Start Rescore with the stage recompute: it makes the feature tables.',
  })
}

/** @throws RescoreError MODEL_OUTDATED or MODEL_FEATURES_MISSING; then nothing is changed */
export async function deployModels(pool: Pool, scorers: readonly Scorer[], isRollback: boolean): Promise<void> {
  const models = scorers.map(({ loaded }) => loaded)
  await withTransaction(pool, {}, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.deployModels])
    const outdated = isRollback ? null : await findOutdatedModels(client, models)
    if (outdated !== null) throw outdated
    for (const scorer of scorers) {
      await assertTable(client, scorer)
      const { model, version, artifactHash, manifest } = scorer.loaded
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
      models.map(({ model }) => model.name),
    ])
    await noteRelease(client, 'models', membersOf(models))
  })
}

/** @throws RescoreError MODEL_NOT_DEPLOYED when the deployed models are not exactly these */
export async function assertDeployed(database: Queryable, models: readonly Identity[]): Promise<void> {
  const { rows } = await database.query<{ model: string; version: string; hash: string }>({
    name: 'rescore-deployed-models',
    text: 'select model, version, artifact_hash as hash from rescore.model_definition',
  })
  const deployed = new Set(rows.map(({ model, version, hash }) => `${model} ${version} ${hash}`))
  const own = membersOf(models)
  const other = own.find((member) => !deployed.delete(member)) ?? [...deployed][0]
  if (other === undefined) return
  throw new RescoreError({
    code: 'MODEL_NOT_DEPLOYED',
    fate: 'stop',
    message: `Other models are deployed than those of this process: they differ in '${other.split(' ')[0]}'.`,
    mend: 'This process steps aside, and nothing was lost or doubled. Run it with the deployed models; to take its own back on purpose, once: rescore start --rollback',
  })
}

/** Until the transaction ends nobody deploys other models. @throws RescoreError MODEL_NOT_DEPLOYED */
export async function shareModels(client: Queryable, models: readonly Identity[]): Promise<void> {
  await client.query({
    name: 'rescore-share-models',
    text: 'select pg_advisory_xact_lock_shared($1)',
    values: [ADVISORY_LOCK.deployModels],
  })
  await assertDeployed(client, models)
}
