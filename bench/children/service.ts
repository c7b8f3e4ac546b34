/**
 * The service under test, in a process of its own: started by a message, stopped by SIGTERM, tells its figures when
 * asked. Wired exactly as `rescore start` wires it; events are counted, never passed on, so that telling costs nothing.
 */
import { asError } from '../../src/errors.ts'
import type { StageEvent } from '../../src/log/stage.ts'
import { type Service, startService } from '../../src/service.ts'
import { memoryOfSelf } from '../memory-of.ts'
import { benchProject } from '../project/config.ts'
import { hubspotProject } from '../project/hubspot.ts'
import type { ServiceCounts, ServiceMessage, ServiceOrder, ServiceRequest } from './messages.ts'
import { onOrder, tell } from './process.ts'

/** What only events tell; the rest is counted by the stages. */
const seen = { batches: 0, entries: 0, sweeps: 0, failed: 0 }
let service: Service | null = null

function counts(): ServiceCounts {
  const { handled = 0, computed = 0, written = 0 } = service?.recompute.counters ?? {}
  return {
    ...seen,
    entitiesHandled: handled,
    featuresComputed: computed,
    featureRowsWritten: written,
    classificationsWritten: service?.score.counters.written ?? 0,
  }
}

const say = (message: ServiceMessage) => tell(message)

function count(event: StageEvent): void {
  if (event.type === 'batch') {
    seen.batches += 1
    seen.entries += event.entries
  } else if (event.type === 'sweep') seen.sweeps += 1
  else if (event.type === 'failed') {
    seen.failed += 1
    say({ type: 'warning', message: `stage ${event.stage}: ${event.message}`, fields: { code: event.code } })
  }
}

const stopping = new AbortController()
process.on('SIGTERM', () => stopping.abort(new Error('SIGTERM')))
// Without the bench nobody would ever stop it.
process.on('disconnect', () => stopping.abort(new Error('The bench is gone.')))

async function run({ url, slot, project }: ServiceOrder): Promise<void> {
  const config = 'url' in project ? hubspotProject(project) : benchProject(project)
  say({ type: 'starting' })
  service = await startService({
    url,
    config,
    slot,
    publication: 'rescore',
    signal: stopping.signal,
    log: { info: () => undefined, warn: (fields, message) => say({ type: 'warning', message, fields }) },
    report: count,
  })
  say({ type: 'ready' })
  await service.done
}

async function figures(): Promise<ServiceMessage> {
  const { user, system } = process.cpuUsage()
  const memory = await memoryOfSelf()
  return { type: 'figures', figures: { ...memory, cpuSeconds: (user + system) / 1e6, counts: counts() } }
}

onOrder<ServiceRequest>(async (request) => {
  if (request.type === 'figures') {
    say(await figures())
    return
  }
  try {
    await run(request.order)
  } catch (error) {
    say({ type: 'failed', message: asError(error).message })
    process.exitCode = 1
  }
  process.disconnect()
})
