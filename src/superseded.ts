/**
 * A process whose definitions are not the deployed ones any more: how it notices, and what becomes of it.
 *
 * Invariants: it does nothing from then on (every transaction of a stage asks first) and gives up its partitions and
 * roles, so the processes of the newer release do what it had; it does not end, or its supervisor would start it again to
 * be refused. When its definitions are deployed again, because somebody went back to them, it goes on.
 */
import { sleep } from './db/backoff.ts'
import { createPool, isRetriableDbError, type Pool } from './db/pool.ts'
import type { ProjectConfig } from './define/index.ts'
import { isRescoreError, type RescoreError } from './errors.ts'
import { compileGraph } from './graph/compile.ts'
import type { Graph } from './graph/graph.ts'
import { readEpochs } from './recompute/epochs.ts'
import { assertDeployed } from './score/deploy.ts'
import { type LoadedModel, loadModels } from './score/registry.ts'

const LOOK_EVERY_MS = 2_000

type Models = readonly Pick<LoadedModel, 'model' | 'version' | 'artifactHash'>[]

interface Definitions {
  readonly pool: Pool
  readonly graph: Graph
  /** null: this process does not score. */
  readonly models: Models | null
}

function isSuperseded(error: unknown): error is RescoreError {
  return isRescoreError(error) && (error.code === 'FEATURE_NOT_DEPLOYED' || error.code === 'MODEL_NOT_DEPLOYED')
}

async function assertOwn({ pool, graph, models }: Definitions): Promise<void> {
  await readEpochs(pool, graph)
  if (models !== null) await assertDeployed(pool, models)
}

/**
 * Until the signal aborts: for the parts that know nothing of definitions, such as capture with the tables of before.
 * @throws RescoreError FEATURE_NOT_DEPLOYED, MODEL_NOT_DEPLOYED
 */
export async function watchDefinitions(definitions: Definitions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // Rejects only when the signal aborts, which the loop's condition sees.
    await sleep(LOOK_EVERY_MS, signal).catch(() => undefined)
    if (signal.aborted) return
    try {
      await assertOwn(definitions)
    } catch (error) {
      if (!isRetriableDbError(error)) throw error
    }
  }
}

export interface AsideOptions {
  readonly url: string
  readonly config: ProjectConfig
  readonly isScoring: boolean
  readonly signal: AbortSignal
  readonly onError: (error: Error) => void
}

async function readModels({ config, isScoring, signal }: AsideOptions): Promise<Models | null> {
  if (!isScoring) return null
  await using models = await loadModels(config.models, { signal })
  return models.models.map(({ model, version, artifactHash }) => ({ model, version, artifactHash }))
}

async function withDefinitions<T>(options: AsideOptions, work: (definitions: Definitions) => Promise<T>): Promise<T> {
  const { url, config, onError } = options
  const models = await readModels(options)
  const pool = createPool({ url, applicationName: 'rescore standing aside', max: 1, onError })
  try {
    return await work({ pool, graph: compileGraph(config), models })
  } finally {
    await pool.end()
  }
}

/**
 * Whether that is what the process has ended with. A newer process brings topics into the group that an older one, given
 * one of their partitions before it has looked, does not know.
 */
export async function superseding(error: unknown, options: AsideOptions): Promise<RescoreError | null> {
  if (isSuperseded(error)) return error
  if (!isRescoreError(error) || error.code !== 'LOG_NO_PARTITION') return null
  try {
    await withDefinitions(options, assertOwn)
  } catch (found) {
    if (isSuperseded(found)) return found
    throw found
  }
  return null
}

/** Resolves once the definitions of this process are the deployed ones again, or the signal aborts. */
export function untilDeployedAgain(options: AsideOptions): Promise<void> {
  const { signal } = options
  return withDefinitions(options, async (definitions) => {
    while (!signal.aborted) {
      try {
        return await assertOwn(definitions)
      } catch (error) {
        if (!isSuperseded(error) && !isRetriableDbError(error)) throw error
      }
      // Rejects only when the signal aborts, which the loop's condition sees.
      await sleep(LOOK_EVERY_MS, signal).catch(() => undefined)
    }
  })
}
