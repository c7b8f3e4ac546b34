/**
 * The service in the test's own process, on a database with the test project; and the question whether all it stored is
 * true.
 */
import type { Pool } from '../../src/db/pool.ts'
import type { ProjectConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { type VerifyReport, verify } from '../../src/observe/verify.ts'
import { waitUntilReflected } from '../../src/observe/wait.ts'
import { loadModels } from '../../src/score/registry.ts'
import { type Service, startService } from '../../src/service.ts'
import { projectConfig } from '../support/project-features.ts'

/** Far beyond what a busy machine needs; only a hang reaches it. */
export const PATIENCE_MS = 90_000

export interface Place {
  readonly name: string
  readonly url: string
  readonly pool: Pool
}

export function slotOf(place: Place): string {
  return `chaos_${place.name}`
}

export interface Running extends AsyncDisposable {
  readonly service: Service
  /** Codes of failures that a stage reported and repeated. */
  readonly failures: readonly string[]
}

/** @param isRollback definitions older than the deployed ones are meant */
export async function startIn(
  place: Place,
  config: ProjectConfig = projectConfig,
  isRollback = false,
): Promise<Running> {
  const ending = new AbortController()
  const failures: string[] = []
  const service = await startService({
    url: place.url,
    config,
    slot: slotOf(place),
    publication: 'chaos',
    signal: ending.signal,
    log: { info: () => undefined, warn: () => undefined },
    strict: true,
    isRollback,
    maxEntries: 200,
    report: (event) => void (event.type === 'failed' && failures.push(`${event.code}: ${event.message}`)),
  })
  return {
    service,
    failures,
    [Symbol.asyncDispose]: async () => {
      ending.abort(new Error('The test is over.'))
      await service.done
    },
  }
}

export async function calm({ url }: Place): Promise<void> {
  await waitUntilReflected({ url, timeoutMs: PATIENCE_MS, signal: new AbortController().signal })
}

export interface Checker extends AsyncDisposable {
  /** Everything recomputed from scratch and compared, once: nothing else must be writing. */
  check(place: Place): Promise<VerifyReport>
}

export async function createChecker(config: ProjectConfig = projectConfig): Promise<Checker> {
  const models = await loadModels(config.models)
  const graph = compileGraph(config)
  const { signal } = new AbortController()
  return {
    // No second look: with the sources at rest, what is reflected is true at once or the position was published too early.
    check: ({ pool, url }) =>
      verify({ pool, url, graph, models, sample: null, signal, timeoutMs: PATIENCE_MS, recheckPausesMs: [] }),
    [Symbol.asyncDispose]: () => models[Symbol.asyncDispose](),
  }
}
