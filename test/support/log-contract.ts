/**
 * The contract of the log as a suite: every log that carries changes to the stages must pass it.
 *
 * It asks only for what src/log/log.ts promises, so a batch may hold fewer entries than asked for, and a log may hand
 * out again what was not acknowledged.
 */
import { describe, expect, test } from 'vitest'
import type { Batch, Chunk, Log } from '../../src/log/log.ts'
import { END_OF_TRANSACTION, type Position, START } from '../../src/log/position.ts'
import { eventually } from './eventually.ts'
import { piece } from './log-chunks.ts'
import { type LogFactory, testAgainstModel } from './log-model.ts'

const whole = (lsn: number, count = 1, bytes = 100): Chunk => piece(lsn, [0, count], true, bytes)
const end = (lsn: number): Position => ({ lsn: BigInt(lsn), index: END_OF_TRANSACTION })
const at = (lsn: number, index: number): Position => ({ lsn: BigInt(lsn), index })
const never = new AbortController().signal

async function next(log: Log, stage: string, maxEntries = 100): Promise<Batch> {
  const batch = await log.next(stage, { maxEntries, waitMs: 10_000, signal: never })
  if (batch === null) throw new Error(`Nothing came for '${stage}'.`)
  return batch
}

function nothing(log: Log, stage: string): Promise<Batch | null> {
  return log.next(stage, { maxEntries: 100, waitMs: 20, signal: never })
}

/** Acknowledges all there is; returns the positions, `lsn.index` each. */
async function drain(log: Log, stage: string, maxEntries = 100): Promise<readonly string[]> {
  const seen: string[] = []
  for (;;) {
    const batch = await log.next(stage, { maxEntries, waitMs: 20, signal: never })
    if (batch === null) return seen
    seen.push(...batch.entries.map(({ position }) => `${position.lsn}.${position.index}`))
    log.acknowledge(stage, batch.end)
  }
}

export function describeLogContract(name: string, factory: LogFactory): void {
  const open = (stages: Readonly<Record<string, Position>>, maxBytes?: number) =>
    factory({ stages: new Map(Object.entries(stages)), ...(maxBytes === undefined ? {} : { maxBytes }) })

  describe(`log contract: ${name}`, () => {
    test('every stage gets every entry in order, at its own pace', async () => {
      await using opened = await open({ a: START, b: START })
      const { log } = opened
      for (const lsn of [100, 200, 300]) await log.append(whole(lsn, 2), never)
      expect(await drain(log, 'a', 1)).toEqual(['100.0', '100.1', '200.0', '200.1', '300.0', '300.1'])
      expect(log.backlog('a')).toBe(0)
      expect(log.backlog('b')).toBe(6)
      expect(log.pendingSinceMs('a')).toBeNull()
      expect(log.pendingSinceMs('b')).toBe(100_000)
      expect(await drain(log, 'b')).toEqual(['100.0', '100.1', '200.0', '200.1', '300.0', '300.1'])
    })

    test('what was not acknowledged is handed out again', async () => {
      await using opened = await open({ a: START })
      const { log } = opened
      await log.append(whole(100, 3), never)
      const first = await next(log, 'a')
      expect((await next(log, 'a')).entries[0]).toEqual(first.entries[0])
      log.acknowledge('a', at(100, 0))
      expect((await next(log, 'a')).entries[0]?.position).toEqual(at(100, 1))
    })

    test('a stage goes on after the position it stands at, in the middle of a transaction too', async () => {
      await using opened = await open({ a: at(200, 0), b: end(100) })
      const { log } = opened
      for (const lsn of [100, 200, 300]) await log.append(whole(lsn, 2), never)
      expect(await drain(log, 'a')).toEqual(['200.1', '300.0', '300.1'])
      expect(await drain(log, 'b')).toEqual(['200.0', '200.1', '300.0', '300.1'])
    })

    test('an acknowledgement of an earlier position takes nothing back', async () => {
      await using opened = await open({ a: START })
      const { log } = opened
      await log.append(whole(100, 2), never)
      log.acknowledge('a', end(100))
      log.acknowledge('a', at(100, 0))
      expect(await nothing(log, 'a')).toBeNull()
    })

    test('a batch ends with its transaction only when that is whole', async () => {
      await using opened = await open({ a: START })
      const { log } = opened
      await log.append(piece(100, [0, 2], false), never)
      const first = await next(log, 'a')
      expect(first).toMatchObject({ end: at(100, 1), xids: [100], committedAtMs: 100_000 })
      await log.append(piece(100, [2, 3], true), never)
      await log.append(whole(200), never)
      log.acknowledge('a', first.end)
      const [cut] = [await next(log, 'a', 1)]
      expect(cut).toMatchObject({ end: end(100), xids: [100] })
    })

    test('the end of a transaction reaches a stage that had all of its entries before the commit was known', async () => {
      await using opened = await open({ a: START })
      const { log } = opened
      await log.append(piece(100, [0, 2], false), never)
      log.acknowledge('a', (await next(log, 'a')).end)
      expect(await nothing(log, 'a')).toBeNull()
      await log.append({ ...piece(100, [2, 2], true), end: end(100) }, never)
      expect(await next(log, 'a')).toMatchObject({ entries: [], end: end(100), xids: [], committedAtMs: 100_000 })
      log.acknowledge('a', end(100))
      expect(await nothing(log, 'a')).toBeNull()
      expect(log.confirmableLsn()).toBe(110n)
    })

    test('a commit is confirmable once every stage is done with it, exactly to its end', async () => {
      await using opened = await open({ a: START, b: START })
      const { log } = opened
      expect(log.confirmableLsn()).toBeNull()
      await log.append(whole(100, 2), never)
      await log.append(whole(200), never)
      expect(log.confirmableLsn()).toBeNull()
      log.acknowledge('a', end(200))
      expect(log.confirmableLsn()).toBeNull()
      log.acknowledge('b', at(100, 0))
      expect(log.confirmableLsn()).toBeNull()
      log.acknowledge('b', at(100, 1))
      expect(log.confirmableLsn()).toBe(110n)
      log.acknowledge('b', end(200))
      expect(log.confirmableLsn()).toBe(210n)
    })

    test('a large transaction is never confirmable before its commit, nor what comes after before it is done', async () => {
      await using opened = await open({ a: START })
      const { log } = opened
      await log.append(whole(100), never)
      await log.append(piece(200, [0, 5], false), never)
      await drain(log, 'a')
      expect(log.confirmableLsn()).toBe(110n)
      await log.append(piece(200, [5, 6], true), never)
      expect(log.confirmableLsn()).toBe(110n)
      await drain(log, 'a')
      expect(log.confirmableLsn()).toBe(210n)
    })

    test('a commit without entries is confirmable at once when nothing is before it, and not while something is', async () => {
      await using opened = await open({ a: START })
      const { log } = opened
      await log.append({ ...whole(100, 0), end: end(100) }, never)
      expect(log.confirmableLsn()).toBe(110n)
      await log.append(whole(200), never)
      await log.append({ ...whole(300, 0), end: end(300) }, never)
      expect(log.confirmableLsn()).toBe(110n)
      log.acknowledge('a', end(200))
      expect(log.confirmableLsn()).toBe(310n)
    })

    test('it is idle exactly when nothing waits for any stage', async () => {
      await using opened = await open({ a: START, b: START })
      const { log } = opened
      expect(log.isIdle()).toBe(true)
      await log.append(whole(100), never)
      log.acknowledge('a', end(100))
      expect(log.isIdle()).toBe(false)
      log.acknowledge('b', end(100))
      expect(log.isIdle()).toBe(true)
    })

    test('a full log pushes back until the slowest stage has taken enough, and is not idle meanwhile', async () => {
      await using opened = await open({ a: START, b: START }, 250)
      const { log } = opened
      await log.append(whole(100), never)
      await log.append(whole(200), never)
      let isIn = false
      const third = log.append(whole(300), never).then(() => {
        isIn = true
      })
      log.acknowledge('a', end(200))
      expect(await nothing(log, 'a')).toBeNull()
      expect(isIn).toBe(false)
      expect(log.isIdle()).toBe(false)
      log.acknowledge('b', end(100))
      await third
      expect(await drain(log, 'b')).toEqual(['200.0', '300.0'])
    })

    test('a chunk larger than the bound still passes once nothing else is held', async () => {
      await using opened = await open({ a: START }, 250)
      const { log } = opened
      await log.append(whole(100, 10), never)
      expect(await drain(log, 'a')).toHaveLength(10)
    })

    test('waits end when their signal aborts: of a stage, and of an append that is pushed back and then adds nothing', async () => {
      await using opened = await open({ a: START }, 100)
      const { log } = opened
      const reason = new Error('stop')
      const ending = new AbortController()
      const waiting = log.next('a', { maxEntries: 1, waitMs: 60_000, signal: ending.signal })
      ending.abort(reason)
      await expect(waiting).rejects.toBe(reason)
      await log.append(whole(100), never)
      const second = new AbortController()
      const pushedBack = log.append(whole(200), second.signal)
      second.abort(reason)
      await expect(pushedBack).rejects.toBe(reason)
      expect(await drain(log, 'a')).toEqual(['100.0'])
      expect(log.isIdle()).toBe(true)
    })

    test('a stage that waits is woken by what is appended', async () => {
      await using opened = await open({ a: START })
      const { log } = opened
      const waiting = next(log, 'a')
      await log.append(whole(100), never)
      expect((await waiting).entries).toHaveLength(1)
      await eventually(() => expect(log.backlog('a')).toBe(1))
    })

    testAgainstModel(factory)
  })
}
