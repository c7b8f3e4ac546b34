/**
 * The service as a program of its own that the chaos tests kill, stop and hold: wired as `rescore start` wires it, with
 * faults from RESCORE_TEST_FAULTS and from messages.
 * Invariant: it never outlives the test: when the channel to it closes, it ends.
 */
import { loadProject } from '../../src/config.ts'
import type { ProjectConfig } from '../../src/define/index.ts'
import { asError } from '../../src/errors.ts'
import { type Faults, faultsFromEnvironment } from '../../src/faults.ts'
import { readKafkaSettings } from '../../src/log/kafka/settings.ts'
import type { StageEvent } from '../../src/log/stage.ts'
import { startService } from '../../src/service.ts'
import { type SharedService, startSharedService } from '../../src/shared-service.ts'
import { SECOND_RELEASE } from '../backfill/setting.ts'
import { projectConfig } from '../support/project-features.ts'
import { timedConfig } from '../support/project-timed.ts'
import type { Counted, FromService, ServiceOrder, SharedOrder, ToService } from './orders.ts'

process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))

function tell(message: FromService): Promise<void> {
  return new Promise((done, fail) => {
    process.send?.(message, (error: Error | null) => (error === null ? done() : fail(error)))
  })
}

const passingsLeft = new Map<string, number>()
const held = new Map<string, PromiseWithResolvers<void>>()

const counters: (() => Counted)[] = []

process.on('message', (message: ToService) => {
  if (message.type === 'count') {
    const sum = { computed: 0, needed: 0 }
    for (const counted of counters.map((read) => read())) {
      sum.computed += counted.computed
      sum.needed += counted.needed
    }
    void tell({ type: 'counted', ...sum })
  } else if (message.type === 'kill-at') passingsLeft.set(message.point, message.passing)
  else if (message.type === 'hold-at') held.set(message.point, Promise.withResolvers<void>())
  else {
    held.get(message.point)?.resolve()
    held.delete(message.point)
  }
})

const planned = faultsFromEnvironment()
const faults: Faults = {
  hit: async (point) => {
    await planned?.hit(point)
    const left = passingsLeft.get(point)
    if (left !== undefined) {
      passingsLeft.set(point, left - 1)
      if (left <= 1) process.kill(process.pid, 'SIGKILL')
    }
    const hold = held.get(point)
    if (hold === undefined) return
    await tell({ type: 'held', point })
    await hold.promise
  },
}

const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort(new Error('SIGTERM')))

function report(event: StageEvent): void {
  if (event.type === 'failed') void tell({ type: 'failed', code: event.code, message: event.message })
}

/** What the log of a process would show is shown where a test fails. */
function warn(fields: object, message: string): void {
  void tell({ type: 'failed', code: 'WARNING', message: `${message} ${JSON.stringify(fields)}` })
}

function countersOf({ stages }: SharedService): Counted {
  const sum = { computed: 0, needed: 0 }
  for (const { counters: found } of stages.get('recompute') ?? []) {
    sum.computed += found.computed
    sum.needed += 'needed' in found ? found.needed : 0
  }
  return sum
}

/** The test project as it is released; a later one where RESCORE_TEST_RELEASE says so. */
function testConfig(project: 'test' | 'timed'): ProjectConfig {
  if (project === 'timed') return timedConfig
  return process.env.RESCORE_TEST_RELEASE === '2' ? SECOND_RELEASE() : projectConfig
}

async function run({ url, slot, project, shared }: ServiceOrder): Promise<void> {
  const options = {
    url,
    slot,
    config: project === 'repository' ? await loadProject(process.cwd()) : testConfig(project),
    publication: 'chaos',
    signal: stopping.signal,
    log: { info: () => undefined, warn },
    strict: true,
    maxEntries: 100,
    faults,
    report,
  }
  const service = shared === undefined ? await startService(options) : await startShared(options, shared)
  await tell({ type: 'running' })
  await service.done
}

async function startShared(
  options: Parameters<typeof startService>[0],
  { parts, owner, sessionTimeoutMs }: SharedOrder,
): Promise<SharedService> {
  const kafka = readKafkaSettings(process.env)
  if (kafka === null) throw new TypeError('KAFKA_BROKERS is not set.')
  const service = await startSharedService({
    ...options,
    kafka,
    parts: new Set(parts),
    owner,
    sessionTimeoutMs,
    barrierEveryMs: 500,
  })
  counters.push(() => countersOf(service))
  return service
}

try {
  await run(JSON.parse(process.argv[2] ?? '{}'))
} catch (thrown) {
  const error = asError(thrown)
  await tell({
    type: 'ended',
    code: 'code' in error ? String(error.code) : 'UNEXPECTED',
    message: error.stack ?? error.message,
  })
}
// Ended as told, or said why: the loss of the channel kills nothing any more.
process.exit()
