/**
 * `rescore plan`: what deploying the definitions of the code would do, before anything does.
 *
 * Invariants: reads only. What counts as changed is decided by the same comparison that deploying makes, and what would
 * come of it by the same code that recomputing runs.
 */
import { countScope } from '../backfill/scope.ts'
import { isRetriableDbError, type Pool } from '../db/pool.ts'
import { asError } from '../errors.ts'
import type { EntityNode, FeatureNode, Graph } from '../graph/graph.ts'
import {
  type DefinitionDiff,
  type DeployedDefinition,
  diffDefinitions,
  READ_DEFINITIONS,
} from '../recompute/definitions.ts'
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

async function planEntity(
  options: PlanOptions,
  node: EntityNode,
  diff: DefinitionDiff,
  known: ReadonlySet<string>,
  deployedModels: readonly DeployedModel[],
): Promise<EntityPlan> {
  const { pool, models, approveAbove } = options
  const recomputed = [...diff.changed, ...diff.readers]
  const recomputedNames = new Set(names(recomputed))
  const own = models.models.filter(({ model }) => model.entity.name === node.entity.name)
  const isAffected = ({ manifest }: LoadedModel) => manifest.inputs.some(({ feature }) => recomputedNames.has(feature))
  const others = own.filter((model) => isOther(model, deployedModels))
  const affected = own.filter(isAffected)
  // What was edited under its version is tried too: whether it matters is what the person must decide.
  const bits = [...recomputed, ...diff.edited].map(({ bit }) => bit)
  const tried = await trySample(options, node, bits, [...new Set([...others, ...affected])])
  const everyRow = { policy: 'all', features: [], condition: null } as const
  const stale = recomputed.length === 0 ? { count: 0, isExact: true } : await countScope(pool, node, everyRow)
  const rate = await lastRate(pool, node.entity.name)
  const { sample } = tried
  const sampleRate = sample === null || sample.entities === 0 ? null : sample.entities / (sample.ms / 1_000)
  const perSecond = rate ?? sampleRate
  return {
    entity: node.entity.name,
    added: names(diff.changed.filter(({ feature }) => !known.has(feature.name))),
    changed: names(diff.changed.filter(({ feature }) => known.has(feature.name))),
    edited: names(diff.edited),
    expectations: await planExpectations(pool, node, recomputed),
    readers: names(diff.readers),
    removed: diff.removed,
    models: others.map(({ model }) => model.name),
    affectedModels: affected.map(({ model }) => model.name),
    stale,
    seconds: stale.count === 0 || perSecond === null ? null : stale.count / perSecond,
    secondsBy: perSecond === null || stale.count === 0 ? null : rate === null ? 'sample' : 'last backfill',
    needsApproval: stale.count > approveAbove,
    ...tried,
  }
}

function isSomething({ added, changed, edited, removed, models, expectations }: EntityPlan): boolean {
  return [added, changed, edited, removed, models, expectations].some((list) => list.length > 0)
}

/** @throws database errors; the signal's reason when it aborts */
export async function makePlan(options: PlanOptions): Promise<Plan> {
  const { pool, graph, models } = options
  const deployed = await pool.query<DeployedDefinition>(READ_DEFINITIONS)
  const deployedModels = await pool.query<DeployedModel>(
    'select model, version, artifact_hash from rescore.model_definition order by model',
  )
  const entities: EntityPlan[] = []
  for (const node of graph.entities.values()) {
    const known = new Set(
      deployed.rows.filter(({ entity }) => entity === node.entity.name).map(({ feature }) => feature),
    )
    const plan = await planEntity(options, node, diffDefinitions(node, deployed.rows), known, deployedModels.rows)
    if (isSomething(plan)) entities.push(plan)
  }
  const gone = new Set(deployed.rows.map(({ entity }) => entity).filter((entity) => !graph.entities.has(entity)))
  const kept = new Set(models.models.map(({ model }) => model.name))
  const removedModels = deployedModels.rows.map(({ model }) => model).filter((model) => !kept.has(model))
  const isEmpty = entities.length === 0 && gone.size === 0 && removedModels.length === 0
  return { isEmpty, entities, removedEntities: [...gone], removedModels }
}
