/**
 * A fixture made of a description: a server with lists that can be paged, filtered by change, read one by one, and that
 * knows its own truth. What it is made of stands in spec.ts.
 *
 * ```ts
 * const fixture = await restFixture({
 *   auth: { kind: 'bearer', token: secret },
 *   lists: [{ table: companies, path: '/companies', record: (n) => ({ id: n, name: `Company ${n}` }), text: 'name' }],
 * })
 * ```
 * Invariant: a deed that no list of the fixture knows is not offered, so the kit says that its check does not apply.
 */
import { type Fixture, manualClock, type Truth } from '../fixture.ts'
import { startFixtureServer } from '../fixture-server.ts'
import { FixtureAccess } from './access.ts'
import { answerOf } from './answer.ts'
import { FixtureRecords } from './records.ts'
import type { RestFixtureSpec } from './spec.ts'

export type { FixtureList, FixturePage, FixturePaging, RestFixtureSpec } from './spec.ts'

/** From the newest record to the first read: beyond every lag. */
const SETTLED_MS = 600_000
const FEWEST_RECORDS = 100

/** Three pages of it: fewer would not show how the list goes on. */
function firstRecords({ list }: FixtureRecords): number {
  return list.records ?? Math.max(FEWEST_RECORDS, Math.ceil((list.paging?.size?.value ?? 100) * 2.5))
}

export async function restFixture(spec: RestFixtureSpec): Promise<Fixture> {
  const clock = manualClock()
  const now = () => clock.now()
  const lists = spec.lists.map((list) => new FixtureRecords(list, now))
  const access = new FixtureAccess(spec.auth)
  const create: Fixture['create'] = (count, { sameInstant = false } = {}) => {
    for (let made = 0; made < count; made += 1) {
      if (!sameInstant) clock.advance(1)
      for (const records of lists) records.create()
    }
  }
  for (const records of lists) {
    for (let made = 0; made < firstRecords(records); made += 1) {
      clock.advance(1)
      records.create()
    }
  }
  clock.advance(SETTLED_MS)
  const server = await startFixtureServer((request) => {
    const refused = access.answer(request)
    if (refused !== undefined) return refused
    for (const records of lists) {
      const answer = answerOf(records, request)
      if (answer !== undefined) return answer
    }
    return { status: 404, body: { message: `nothing is at ${request.path}` } }
  })
  const texts = lists.filter(({ list }) => list.text !== undefined)
  // A record without a key has no place in a list that goes on after one.
  const poisonable = lists.find(({ list }) => list.paging?.by !== 'keyset')
  const [first] = lists
  const { expire } = access
  return {
    url: server.url,
    clock,
    truth: (): Truth => Object.fromEntries(lists.map((records) => [records.list.table.id, records.truth()])),
    create,
    remove: (count) => {
      for (const records of lists) records.remove(count)
    },
    restore: () => {
      for (const records of lists) records.restore()
    },
    ...(first === undefined ? {} : { erase: () => first.erase() }),
    ...(texts.length === 0
      ? {}
      : {
          change: (count: number) => {
            for (const records of texts) records.change(count)
          },
          oddValues: () => {
            for (const records of texts) records.oddValues()
          },
        }),
    ...(poisonable === undefined ? {} : { poison: () => poisonable.poison() }),
    ...(expire === undefined ? {} : { expireToken: expire }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
