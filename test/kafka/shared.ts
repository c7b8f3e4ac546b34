/**
 * Processes of a shared service, run in the test's own process, on a broker and a database with the test project.
 * Invariant: disposing ends all of them and waits for them.
 */
import type { ProjectConfig } from '../../src/define/index.ts'
import type { Faults } from '../../src/faults.ts'
import type { KafkaSettings } from '../../src/log/kafka/settings.ts'
import type { StageEvent } from '../../src/log/stage.ts'
import { type Part, type SharedService, startSharedService } from '../../src/shared-service.ts'
import { type Place, slotOf } from '../chaos/running.ts'
import { projectConfig } from '../support/project-features.ts'

export interface Worker extends AsyncDisposable {
  readonly service: SharedService
  /** Codes of failures that were reported and repeated. */
  readonly failures: readonly string[]
  readonly events: readonly StageEvent[]
}

export async function startWorker(
  place: Place,
  kafka: KafkaSettings,
  owner: string,
  parts: readonly Part[],
  config: ProjectConfig = projectConfig,
  faults?: Faults,
): Promise<Worker> {
  const ending = new AbortController()
  const failures: string[] = []
  const events: StageEvent[] = []
  const service = await startSharedService({
    url: place.url,
    config,
    kafka,
    parts: new Set(parts),
    owner,
    slot: slotOf(place),
    publication: 'chaos',
    signal: ending.signal,
    log: { info: () => undefined, warn: () => undefined },
    strict: true,
    maxEntries: 200,
    faults,
    sessionTimeoutMs: 6_000,
    barrierEveryMs: 500,
    report: (event) => {
      events.push(event)
      if (event.type === 'failed') failures.push(`${event.stage} ${event.code}: ${event.message}`)
    },
  })
  const ended = service.done.catch(() => undefined)
  return {
    service,
    failures,
    events,
    [Symbol.asyncDispose]: async () => {
      ending.abort(new Error('The test is over.'))
      await ended
    },
  }
}

export function counted(workers: readonly Worker[]): { readonly computed: number; readonly needed: number } {
  const sum = { computed: 0, needed: 0 }
  for (const { service } of workers) {
    for (const { counters } of service.stages.get('recompute') ?? []) {
      sum.computed += counters.computed
      sum.needed += 'needed' in counters ? counters.needed : 0
    }
  }
  return sum
}
