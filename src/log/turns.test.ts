import { expect, test } from 'vitest'
import type { Lane } from './lane.ts'
import { Turns } from './turns.ts'

const never = () => Promise.reject(new Error('Nothing here opens a transaction.'))

function lane(name: string, told: string[], more: Partial<Lane> = {}): Lane {
  return { name, dueInMs: () => 0, step: () => Promise.resolve(void told.push(name)), ...more }
}

test('the first that is due goes first, and those behind it are not forgotten', async () => {
  const told: string[] = []
  const turns = new Turns([lane('timer', told), lane('backfill', told)])
  for (let at = 0; at < 18; at += 1) await turns.step(never)
  const round = [...Array<string>(8).fill('timer'), 'backfill']
  expect(told).toEqual([...round, ...round])
})

test('a lane has turns to itself while no other is due', async () => {
  const told: string[] = []
  const turns = new Turns([lane('timer', told, { dueInMs: () => 40 }), lane('backfill', told)])
  expect(turns.dueInMs()).toBe(0)
  for (let at = 0; at < 3; at += 1) await turns.step(never)
  expect(told).toEqual(['backfill', 'backfill', 'backfill'])
})

test('while stale rows are caught up on, only what is urgent has turns', async () => {
  const told: string[] = []
  const turns = new Turns([lane('timer', told, { isUrgent: true, dueInMs: () => 7 }), lane('backfill', told)])
  expect([turns.dueInMs(true), turns.dueInMs(false), new Turns([]).dueInMs()]).toEqual([7, 0, Number.POSITIVE_INFINITY])
  await turns.step(never, { isSweeping: true })
  expect(told).toEqual([])
})

test('a lane is told when changes come in, not when its own writes come back, and is owed a turn after some of either', async () => {
  const told: boolean[] = []
  const step = (_: unknown, isBusy: boolean) => Promise.resolve(void told.push(isBusy))
  const turns = new Turns([lane('backfill', [], { step })])
  for (let at = 0; at < 8; at += 1) {
    expect(turns.isOwed()).toBe(false)
    turns.noteBatch(false)
  }
  expect(turns.isOwed()).toBe(true)
  await turns.step(never)
  expect(turns.isOwed()).toBe(false)
  turns.noteBatch(true)
  await turns.step(never)
  expect(told).toEqual([false, true])
})
