/** Files that come, grow, are replaced or vanish, and a kill anywhere. */
import { writeFileSync } from 'node:fs'
import { appendFile, rename, unlink, utimes, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { csv, setUp } from '../../test/support/files.ts'

test('once means once: what comes later is not read', async () => {
  await using at = await setUp({}, { watch: false })
  await writeFile(at.file('a.csv'), csv(1, 2))
  await at.pass()
  await writeFile(at.file('b.csv'), csv(3, 4))
  expect([await at.settle(), await at.ids()]).toEqual([{ written: 0, rejected: 0 }, [1, 2]])
})

test('a file that is still being written is left until it rests', async () => {
  await using at = await setUp()
  await writeFile(at.file('a.csv'), 'id,name\n1,on')
  expect((await at.pass()).written).toBe(0)
  await appendFile(at.file('a.csv'), 'e\n2,tw')
  expect((await at.pass()).written).toBe(0)
  await appendFile(at.file('a.csv'), 'o\n')
  expect((await at.pass()).written).toBe(0)
  expect((await at.pass()).written).toBe(2)
  expect(await at.rows()).toEqual([
    { id: 1n, name: 'one' },
    { id: 2n, name: 'two' },
  ])
  // Not again, and not for being looked at twice at one time.
  expect([await at.pass(), await at.pass()]).toEqual([
    { written: 0, rejected: 0 },
    { written: 0, rejected: 0 },
  ])
})

test('a file that is replaced, by name or in place, is read anew; rows it no longer has stay', async () => {
  await using at = await setUp()
  await writeFile(at.file('a.csv'), csv(1, 3))
  await at.settle()
  await writeFile(at.file('.new'), csv(3, 4, '!'))
  await rename(at.file('.new'), at.file('a.csv'))
  expect(await at.settle()).toEqual({ written: 2, rejected: 0 })
  await writeFile(at.file('a.csv'), csv(1, 1, '?'))
  await at.settle()
  expect(await at.rows()).toMatchObject([
    { name: 'Person 1?' },
    { name: 'Person 2' },
    { name: 'Person 3!' },
    { name: 'Person 4!' },
  ])
})

test('a snapshot deletes what it no longer holds, over all its files', async () => {
  await using at = await setUp({ mode: 'snapshot', pattern: 'part-*.csv' })
  await writeFile(at.file('part-1.csv'), csv(1, 3))
  await writeFile(at.file('part-2.csv'), csv(4, 6))
  await at.settle()
  expect(await at.ids()).toEqual([1, 2, 3, 4, 5, 6])
  await writeFile(at.file('part-2.csv'), csv(5, 5))
  expect((await at.settle()).written).toBe(2)
  expect(await at.ids()).toEqual([1, 2, 3, 5])
  await unlink(at.file('part-1.csv'))
  await at.settle()
  expect(await at.ids()).toEqual([5])
})

test('a snapshot with a bad line deletes nothing, and neither does one that is gone', async () => {
  await using at = await setUp({ mode: 'snapshot', pattern: 'all.csv' })
  await writeFile(at.file('all.csv'), csv(1, 3))
  await at.settle()
  await writeFile(at.file('all.csv'), 'id,name\n1,new\nbad\n')
  await at.settle()
  expect(await at.rows()).toMatchObject([{ name: 'new' }, { name: 'Person 2' }, { name: 'Person 3' }])
  expect(at.said).toEqual([expect.stringContaining('bad lines')])
  await unlink(at.file('all.csv'))
  await at.settle()
  expect(await at.ids()).toEqual([1, 2, 3])
})

test('a snapshot that changes while it is read deletes nothing, and is read again', async () => {
  await using at = await setUp({ mode: 'snapshot' })
  await writeFile(at.file('a.csv'), csv(1, 2_000))
  await at.settle()
  await writeFile(at.file('a.csv'), csv(1, 1_500, '!'))
  await at.pass()
  let seen = 0
  const onMessage = () => {
    seen += 1
    if (seen === 1_200) writeFileSync(at.file('a.csv'), csv(1, 1_999, '?'))
  }
  await at.pass({ onMessage })
  expect(await at.ids()).toHaveLength(2_000)
  await at.settle()
  expect((await at.rows()).map(({ name }) => name)).toEqual(
    Array.from({ length: 1_999 }, (_, one) => `Person ${one + 1}?`),
  )
})

test('of a growing file only whole lines are read, each once, also when it was moved or cut short', async () => {
  await using at = await setUp({ mode: 'append', pattern: 'log*' })
  await writeFile(at.file('log.csv'), 'id,name\n1,one\n2,tw')
  expect((await at.pass()).written).toBe(1)
  await appendFile(at.file('log.csv'), 'o\n3,three\n')
  expect((await at.pass()).written).toBe(2)
  await rename(at.file('log.csv'), at.file('log.1'))
  await appendFile(at.file('log.1'), '4,four\n')
  await writeFile(at.file('log.csv'), 'id,name\n5,five\n')
  expect((await at.pass()).written).toBe(2)
  // Emptied and begun again in its place, by the same number of the disk.
  await writeFile(at.file('log.csv'), 'name,id\nsix,6\nseven,7\n')
  expect((await at.pass()).written).toBe(2)
  expect(await at.rows()).toMatchObject(
    ['one', 'two', 'three', 'four', 'five', 'six', 'seven'].map((name) => ({ name })),
  )
})

test.each(['upsert', 'snapshot', 'append'] as const)(
  '%s: killed at any message, the next run goes on where it had come to',
  async (mode) => {
    await using at = await setUp({ mode })
    await writeFile(at.file('a.csv'), csv(1, 2_500))
    await writeFile(at.file('b.csv'), csv(2_501, 5_000))
    await utimes(at.file('a.csv'), 1_700_000_000, 1_700_000_000)
    let messages = 0
    const count = () => {
      messages += 1
    }
    for (const kill of [700, 1_900, 1_100]) {
      let seen = 0
      const onMessage = () => {
        count()
        seen += 1
        if (seen === kill) throw new Error('killed')
      }
      await at.pass()
      await at.pass({ onMessage }).catch((error: Error) => expect(error.message).toBe('killed'))
    }
    await at.pass({ onMessage: count })
    await at.pass({ onMessage: count })
    expect(await at.ids()).toHaveLength(5_000)
    // At most a batch is read twice for each kill.
    expect(messages).toBeLessThan(5_000 + 4 * 1_000 + 100)
  },
)
