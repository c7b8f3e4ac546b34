import { expect, test } from 'vitest'
import { RescoreError } from '../../errors.ts'
import { persevere } from './persevere.ts'

const failing = (fate: 'retry' | 'stop') =>
  new RescoreError({ code: 'LOG_KAFKA_UNREACHABLE', fate, message: 'planted', mend: 'none' })

test('a step is repeated while the brokers are away, each time said, and its result is had', async () => {
  const said: unknown[] = []
  let attempts = 0
  const step = async () => {
    attempts += 1
    if (attempts < 4) throw failing('retry')
    return attempts
  }
  const { signal } = new AbortController()
  expect(await persevere(step, { signal, onError: (error) => said.push(error) })).toBe(4)
  expect(said).toHaveLength(3)
})

test('what repeating cannot mend is thrown at once; what lasts, once the patience is over', async () => {
  const { signal } = new AbortController()
  let attempts = 0
  const onError = () => {
    attempts += 1
  }
  const stop = failing('stop')
  await expect(persevere(() => Promise.reject(stop), { signal, onError })).rejects.toBe(stop)
  expect(attempts).toBe(0)
  const lasting = failing('retry')
  await expect(persevere(() => Promise.reject(lasting), { signal, onError, withinMs: 400 })).rejects.toBe(lasting)
  expect(attempts).toBeGreaterThan(0)
})

test('a step that never answers is given up, by patience and by the wish to stop', async () => {
  const stopping = new AbortController()
  const { signal } = stopping
  const never = () => new Promise<never>(() => undefined)
  const onError = () => undefined
  await expect(persevere(never, { signal, onError, withinMs: 50 })).rejects.toMatchObject({
    code: 'LOG_KAFKA_UNREACHABLE',
  })
  const waiting = persevere(never, { signal, onError })
  const reason = new Error('stop')
  stopping.abort(reason)
  await expect(waiting).rejects.toBe(reason)
})
