import { expect, test } from 'vitest'
import { createTestDatabase } from '../../../test/support/pg.ts'
import { copying, NAME } from '../../../test/support/stage.ts'
import { sweepsOf } from './consume-sweep.ts'

test('a pass that goes on where an earlier term left off counts for nothing; the whole one after it does', async () => {
  await using database = await createTestDatabase('sweeps')
  await database.query('insert into rescore.shared_stage (stage, sweeps_wanted) values ($1, 1)', [NAME])
  const done = async () => {
    const { rows } = await database.query<{ done: number }>('select sweeps_done as done from rescore.shared_stage')
    return rows[0]?.done
  }
  const seen: (number | undefined)[] = []
  let term = new AbortController()
  // Two pieces a pass, none of which finds anything.
  const stage = copying({
    sweep: async () => {
      seen.push(await done())
      if (seen.length === 1) term.abort(new Error('The term is over.'))
      return seen.length % 2 === 1
    },
  })
  const sweep = sweepsOf({ pool: database.pool, stage, report: () => undefined, onSwept: () => term.abort() })
  await sweep(term.signal)
  // Made stale behind what the first term has passed.
  await database.query('update rescore.shared_stage set sweeps_wanted = 2')
  term = new AbortController()
  await sweep(term.signal)
  expect([seen, await done()]).toEqual([[0, 0, 0, 0], 2])
})
