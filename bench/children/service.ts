/**
 * The service under test, in a process of its own: started by a message, stopped by SIGTERM, tells its figures when
 * asked. Wired exactly as `rescore start` wires it, alone or as one of several over Kafka; events are counted, never passed on, so that telling costs nothing.
 */
import { asError } from '../../src/errors.ts'
import { readKafkaSettings } from '../../src/log/kafka/settings.ts'
import type { StageEvent } from '../../src/log/stage.ts'
import { type ServiceOptions, startService } from '../../src/service.ts'
import type { AnyStage } from '../../src/shared-process.ts'
import { startSharedService } from '../../src/shared-service.ts'
import { memoryOfSelf } from '../memory-of.ts'
import { benchProject } from '../project/config.ts'
import { hubspotProject } from '../project/hubspot.ts'
import type { ServiceCounts, ServiceMessage, ServiceOrder, ServiceRequest, SharedOrder } from './messages.ts'
import { onOrder, tell } from './process.ts'

/** What only events tell; the rest is counted by the stages. */
const seen = { batches: 0, entries: 0, sweeps: 0, failed: 0 }
/** The objects of a stage in this process. */
let stagesOf: (name: 'recompute' | 'score') => readonly AnyStage[] = () => []

function counts(): ServiceCounts {
  const sum = { handled: 0, computed: 0, needed: 0, written: 0 }
  for (const { counters } of stagesOf('recompute')) {
    sum.handled += counters.handled
    sum.computed += counters.computed
    sum.needed += 'needed' in counters ? counters.needed : 0
    sum.written += counters.written
  }
  return {
    ...seen,
    entitiesHandled: sum.handled,
    featuresComputed: sum.computed,
    featuresNeeded: sum.needed,
    featureRowsWritten: sum.written,
    classificationsWritten: stagesOf('score').reduce((all, { counters }) => all + counters.written, 0),
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

async function run({ url, slot, project, shared }: ServiceOrder): Promise<void> {
  const config = 'url' in project ? hubspotProject(project) : benchProject(project)
  const options: ServiceOptions = {
    url,
    config,
    slot,
    publication: 'rescore',
    signal: stopping.signal,
    log: { info: () => undefined, warn: (fields, message) => say({ type: 'warning', message, fields }) },
    report: count,
  }
  say({ type: 'starting' })
  const running = shared === undefined ? await startAlone(options) : await startShared(options, shared)
  say({ type: 'ready' })
  await Promise.all(running)
}

async function startAlone(options: ServiceOptions): Promise<Promise<void>[]> {
  const { recompute, score, done } = await startService(options)
  stagesOf = (name) => (name === 'recompute' ? [recompute] : [score])
  return [done]
}

async function startShared(options: ServiceOptions, { brokers, prefix, parts }: SharedOrder): Promise<Promise<void>[]> {
  const kafka = readKafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PREFIX: prefix })
  if (kafka === null) throw new TypeError('no brokers')
  // Each sharing out makes kafkajs tell of every request the group refused meanwhile.
  const log = {
    ...options.log,
    warn: (fields: object, message: string) => {
      if (!message.startsWith('Kafka client: ')) options.log.warn(fields, message)
    },
  }
  const { stages, done } = await startSharedService({ ...options, log, kafka, parts: new Set(parts) })
  stagesOf = (name) => stages.get(name) ?? []
  return [done]
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
  if (process.connected) process.disconnect()
})
