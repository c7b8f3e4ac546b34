/**
 * The service as a program of its own that the chaos tests kill, stop and hold: wired as `rescore start` wires it, with
 * faults from RESCORE_TEST_FAULTS and from messages.
 * Invariant: it never outlives the test: when the channel to it closes, it ends.
 */
import { loadProject } from '../../src/config.ts'
import { asError } from '../../src/errors.ts'
import { type Faults, faultsFromEnvironment } from '../../src/faults.ts'
import { startService } from '../../src/service.ts'
import { projectConfig } from '../support/project-features.ts'
import type { FromService, ServiceOrder, ToService } from './orders.ts'

process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))

function tell(message: FromService): Promise<void> {
  return new Promise((done, fail) => {
    process.send?.(message, (error: Error | null) => (error === null ? done() : fail(error)))
  })
}

const passingsLeft = new Map<string, number>()
const held = new Map<string, PromiseWithResolvers<void>>()

process.on('message', (message: ToService) => {
  if (message.type === 'kill-at') passingsLeft.set(message.point, message.passing)
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

async function run({ url, slot, project }: ServiceOrder): Promise<void> {
  const service = await startService({
    url,
    slot,
    config: project === 'test' ? projectConfig : await loadProject(process.cwd()),
    publication: 'chaos',
    signal: new AbortController().signal,
    log: { info: () => undefined, warn: () => undefined },
    strict: true,
    maxEntries: 100,
    faults,
  })
  await tell({ type: 'running' })
  await service.done
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
process.disconnect()
