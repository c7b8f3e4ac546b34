/**
 * `rescore plan`: what deploying the definitions of the code would do, before anything does.
 *
 * Invariants: reads only. What counts as changed is decided by the same comparison that deploying makes, and what would
 * come of it by the same code that recomputing runs.
 */
import { countScope } from '../backfill/scope.ts'
import { isRetriableDbError, type Pool } from '../db/pool.ts'
import { asError, type RescoreError } from '../errors.ts'
import type { EntityNode, FeatureNode, Graph } from '../graph/graph.ts'
import {
  type DefinitionDiff,
  type DeployedDefinition,
  diffDefinitions,
  READ_DEFINITIONS,
} from '../recompute/definitions.ts'
import { findRefusals, typesOf } from '../recompute/feature-table.ts'
import { findOutdated } from '../recompute/outdated.ts'
import { type RemovedFeature, readRemoved } from '../recompute/removed.ts'
import { findOutdatedModels } from '../score/deploy.ts'
import type { LoadedModel, ModelSet } from '../score/registry.ts'
import { planExpectations } from './expectations.ts'
import type { EntityPlan, Plan, Sample } from './report.ts'
import { takeSample } from './sample.ts'

export interface PlanOptions {
  readonly pool: Pool
  readonly graph: Graph
  readonly models: ModelSet
  /** Entities of each kind to try; 0: none. */
  readonly sample: number
  readonly approveAbove: number
  readonly signal: AbortSignal
}

interface Deployed {
  readonly definitions: readonly DeployedDefinition[]
  readonly models: readonly DeployedModel[]
  readonly removed: readonly RemovedFeature[]
}

interface DeployedModel {
  readonly model: string
  readonly version: string
  readonly artifact_hash: string
}

const names = (nodes: readonly FeatureNode[]) => nodes.map(({ feature }) => feature.name)

function isOther({ model, version, artifactHash }: LoadedModel, deployed: readonly DeployedModel[]): boolean {
  const known = deployed.find((one) => one.model === model.name)
  return known?.version !== version || known.artifact_hash !== artifactHash
}

async function lastRate(pool: Pool, entity: string): Promise<number | null> {
  const { rows } = await pool.query<{ rate: number }>(
    `select (changed + unchanged + failed) / extract(epoch from ended_at - started_at)::float8 as rate
     from rescore.backfill where entity = $1 and state = 'done' and rate is null and ended_at > started_at
       and changed + unchanged + failed >= 1000 order by id desc limit 1`,
    [entity],
  )
  return rows[0]?.rate ?? null
}

async function trySample(
  { pool, sample, signal }: PlanOptions,
  node: EntityNode,
  bits: readonly number[],
  models: readonly LoadedModel[],
): Promise<{ readonly sample: Sample | null; readonly unsampled: string | null }> {
  if (sample === 0 || (bits.length === 0 && models.length === 0)) return { sample: null, unsampled: null }
  try {
    return { sample: await takeSample(pool, { node, bits, models, size: sample, signal }), unsampled: null }
  } catch (error) {
    signal.throwIfAborted()
    if (isRetriableDbError(error)) throw error
    return { sample: null, unsampled: asError(error).message }
  }
}

function renamesOf(
  added: readonly FeatureNode[],
  removed: readonly string[],
  deployed: readonly DeployedDefinition[],
): EntityPlan['renamed'] {
  const left = deployed.filter(({ feature }) => removed.includes(feature))
  return added.flatMap(({ feature, hash }) => {
    const at = left.findIndex((one) => one.hash === hash)
    return at < 0 ? [] : left.splice(at, 1).map((one) => ({ from: one.feature, to: feature.name }))
  })
}

async function planEntity(
  options: PlanOptions,
  node: EntityNode,
  diff: DefinitionDiff,
  { definitions, models: deployedModels }: Deployed,
): Promise<EntityPlan> {
  const { pool, models, approveAbove } = options
  const own = definitions.filter(({ entity }) => entity === node.entity.name)
  const known = new Set(own.map(({ feature }) => feature))
  const recomputed = [...diff.changed, ...diff.readers]
  const recomputedNames = new Set(names(recomputed))
  const ownModels = models.models.filter(({ model }) => model.entity.name === node.entity.name)
  const isAffected = ({ manifest }: LoadedModel) => manifest.inputs.some(({ feature }) => recomputedNames.has(feature))
  const others = ownModels.filter((model) => isOther(model, deployedModels))
  const affected = ownModels.filter(isAffected)
  // What was edited under its version is tried too: whether it matters is what the person must decide.
  const bits = [...recomputed, ...diff.edited].map(({ bit }) => bit)
  const tried = await trySample(options, node, bits, [...new Set([...others, ...affected])])
  const everyRow = { policy: 'all', features: [], condition: null } as const
  const isCounted = recomputed.length > 0 || others.length > 0
  const all = isCounted ? await countScope(pool, node, everyRow) : { count: 0, isExact: true }
  const stale = recomputed.length === 0 ? { count: 0, isExact: true } : all
  const rate = await lastRate(pool, node.entity.name)
  const { sample } = tried
  const sampleRate = sample === null || sample.entities === 0 ? null : sample.entities / (sample.ms / 1_000)
  const perSecond = rate ?? sampleRate
  const added = diff.changed.filter(({ feature }) => !known.has(feature.name))
  return {
    entity: node.entity.name,
    added: names(added),
    changed: names(diff.changed.filter(({ feature }) => known.has(feature.name))),
    edited: names(diff.edited),
    expectations: await planExpectations(pool, node, recomputed),
    readers: names(diff.readers),
    removed: diff.removed,
    renamed: renamesOf(added, diff.removed, own),
    models: others.map(({ model }) => model.name),
    affectedModels: affected.map(({ model }) => model.name),
    stale,
    seconds: stale.count === 0 || perSecond === null ? null : stale.count / perSecond,
    secondsBy: perSecond === null || stale.count === 0 ? null : rate === null ? 'sample' : 'last backfill',
    needsApproval: stale.count > approveAbove,
    approveAbove,
    scored: others.length === 0 ? null : all,
    ...tried,
  }
}

function isSomething({ added, changed, edited, removed, models, expectations }: EntityPlan): boolean {
  return [added, changed, edited, removed, models, expectations].some((list) => list.length > 0)
}

async function refusalsOf({ pool, graph, models }: PlanOptions, deployed: Deployed): Promise<readonly RescoreError[]> {
  const { definitions, removed } = deployed
  const outdated = [await findOutdated(pool, graph, definitions), await findOutdatedModels(pool, models.models)]
  const found = outdated.filter((one) => one !== null)
  for (const node of graph.entities.values()) {
    const { changed } = diffDefinitions(node, definitions)
    const types = await typesOf(pool, node.featureTable)
    found.push(...findRefusals(node, types, { changed, removed, isRollback: false }))
  }
  return found
}

function decisionsOf(entities: readonly EntityPlan[], refusals: readonly RescoreError[]): readonly string[] {
  return [
    ...refusals.map(({ code, message }) => `${code}: ${message}`),
    ...entities.flatMap(({ entity, edited, needsApproval, stale, approveAbove, sample, expectations }) => [
      ...edited.map((name) => `${entity}.${name} was edited under its version`),
      ...(needsApproval
        ? [`${stale.count} rows of ${entity} are more than ${approveAbove}: a backfill will wait`]
        : []),
      ...(sample !== null && sample.failed > 0 ? [`${sample.failed} of ${entity} could not be computed`] : []),
      ...expectations.flatMap(({ feature, broken }) =>
        broken === null || broken === 0
          ? []
          : [`${broken} stored values of ${entity}.${feature} break what is expected`],
      ),
    ]),
  ]
}

/** @throws database errors; the signal's reason when it aborts */
export async function makePlan(options: PlanOptions): Promise<Plan> {
  const { pool, graph, models } = options
  const definitions = await pool.query<DeployedDefinition>(READ_DEFINITIONS)
  const deployedModels = await pool.query<DeployedModel>(
    'select model, version, artifact_hash from rescore.model_definition order by model',
  )
  const deployed = {
    definitions: definitions.rows,
    models: deployedModels.rows,
    removed: await readRemoved(pool),
  }
  const entities: EntityPlan[] = []
  for (const node of graph.entities.values()) {
    const plan = await planEntity(options, node, diffDefinitions(node, deployed.definitions), deployed)
    if (isSomething(plan)) entities.push(plan)
  }
  const gone = new Set(deployed.definitions.map(({ entity }) => entity).filter((name) => !graph.entities.has(name)))
  const kept = new Set(models.models.map(({ model }) => model.name))
  const removedModels = deployed.models.map(({ model }) => model).filter((model) => !kept.has(model))
  const refusals = await refusalsOf(options, deployed)
  return {
    isEmpty: entities.length === 0 && gone.size === 0 && removedModels.length === 0,
    refusals: refusals.map(({ code, message, mend }) => ({ code, message, mend })),
    decisions: decisionsOf(entities, refusals),
    entities,
    removedEntities: [...gone],
    removedModels,
  }
}
