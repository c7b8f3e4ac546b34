import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { pagesAhead } from './pages-ahead.ts'

const LAST = 20

function list(failing = Number.NaN) {
  const asked: number[] = []
  const fetch = async (after: string | null) => {
    const at = Number(after ?? 0)
    asked.push(at)
    await setImmediate()
    if (at === failing) throw new Error(`page ${at}`)
    return { at, next: at === LAST ? null : String(at + 1) }
  }
  return { asked, pages: pagesAhead(null, fetch) }
}

const upTo = (last: number) => Array.from({ length: last + 1 }, (_, at) => at)

test('every page comes once and in order, whether the taker is fast or slow', async () => {
  for (const turns of [0, 30]) {
    const { asked, pages } = list()
    const came: number[] = []
    for await (const { at } of pages) {
      came.push(at)
      for (let turn = 0; turn < turns; turn += 1) await setImmediate()
    }
    expect([came, asked]).toStrictEqual([upTo(LAST), upTo(LAST)])
  }
})

test('while a page is worked on a few more are fetched, and no more than that', async () => {
  const { asked, pages } = list()
  await pages.next()
  for (let turn = 0; turn < 100; turn += 1) await setImmediate()
  expect(asked).toStrictEqual(upTo(2))
  await pages.return()
})

test('a failed page is thrown where it would have come, after the pages before it', async () => {
  const { asked, pages } = list(3)
  const came: number[] = []
  const take = async () => {
    for await (const { at } of pages) came.push(at)
  }
  await expect(take()).rejects.toThrow('page 3')
  expect([came, asked]).toStrictEqual([upTo(2), upTo(3)])
})

test('nothing more is fetched once nobody takes pages', async () => {
  const { asked, pages } = list()
  await pages.next()
  await pages.return()
  const then = asked.length
  for (let turn = 0; turn < 100; turn += 1) await setImmediate()
  expect(asked.length).toBeLessThanOrEqual(then)
})
