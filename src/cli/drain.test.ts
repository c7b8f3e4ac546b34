import { expect, test } from 'vitest'
import { Health } from '../observe/health.ts'
import { type DrainOptions, drained } from './drain.ts'
import { exitCodeOf, explained, interruptedCode } from './exit.ts'
import { Interrupted } from './signals.ts'

function setUp(): DrainOptions & { readonly stop: AbortController; readonly late: Error[] } {
  const stop = new AbortController()
  const late: Error[] = []
  return { stop, late, signal: stop.signal, health: new Health(), onLateFailure: (error) => late.push(error) }
}

/** Ends as parts do: with the reason they were given. */
const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

test('the parts that do not end in time are named, and the exit code says that it failed', async () => {
  const options = setUp()
  options.health.set('capture', 'running')
  options.health.set('recompute', 'running')
  const never = new Promise<void>(() => undefined)
  const running = drained(() => never, { ...options, withinMs: 20 })
  options.stop.abort(new Interrupted('SIGTERM'))
  options.health.set('capture', 'ended')
  const error: unknown = await running.catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({
    code: 'CLI_DRAIN_TIMEOUT',
    message: 'Asked to stop, this did not end within 0.02 s: recompute.',
  })
  expect(exitCodeOf(explained(error))).toBe(1)
})

test('what ends in time ends well, and is not ready from the signal on', async () => {
  const options = setUp()
  options.health.started()
  const running = drained(() => untilAborted(options.signal), options)
  expect(options.health.obstacles()).toEqual([])
  options.stop.abort(new Interrupted('SIGTERM'))
  expect(options.health.obstacles()).toEqual(['it is stopping'])
  await running
  expect(options.late).toEqual([])
})

test('a failure after the signal is told and does not count; one before it does', async () => {
  const options = setUp()
  const failure = new Error('planted')
  await expect(drained(() => Promise.reject(failure), options)).rejects.toBe(failure)
  const running = drained(() => untilAborted(options.signal).catch(() => Promise.reject(failure)), options)
  options.stop.abort(new Interrupted('SIGTERM'))
  await running
  expect(options.late).toEqual([failure])
})

test('a command that was asked to end before it was done has the exit code of the signal', () => {
  const stop = new AbortController()
  stop.abort(new Interrupted('SIGTERM'))
  expect(interruptedCode(stop.signal)).toBe(143)
  expect([new Interrupted('SIGINT').exitCode, new Interrupted('SIGHUP').exitCode]).toEqual([130, 129])
})
