import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Backoff, retry, sleep } from './backoff.ts'
import { formatLsn, parseLsn } from './lsn.ts'

test('every 64-bit LSN survives the way to text and back', () => {
  fc.assert(fc.property(fc.bigInt(0n, 0xffff_ffff_ffff_ffffn), (lsn) => parseLsn(formatLsn(lsn)) === lsn))
})

test('the text form is PostgreSQL’s, unpadded and in capitals', () => {
  expect(formatLsn(0x16_b374_d848n)).toBe('16/B374D848')
  expect(parseLsn('0/0')).toBe(0n)
  expect(() => parseLsn('16-B374')).toThrow(TypeError)
})

test('a wait ends when its signal aborts', async () => {
  const controller = new AbortController()
  const waiting = sleep(3_600_000, controller.signal)
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
})

test('delays double up to the bound and start again after a reset', () => {
  const backoff = new Backoff({ baseMs: 10, maxMs: 80, random: () => 1 })
  expect([1, 2, 3, 4, 5].map(() => backoff.nextDelayMs())).toEqual([10, 20, 40, 80, 80])
  backoff.reset()
  expect(backoff.nextDelayMs()).toBe(10)
})

test('a repeat stops at the attempts allowed and at errors that are not worth it', async () => {
  let calls = 0
  const failing = async () => {
    calls += 1
    throw new Error(`call ${calls}`)
  }
  await expect(retry(failing, { attempts: 3, isRetriable: () => true, baseMs: 1 })).rejects.toThrow('call 3')
  await expect(retry(failing, { attempts: 3, isRetriable: () => false, baseMs: 1 })).rejects.toThrow('call 4')
})
