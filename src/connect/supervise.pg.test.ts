import { expect, test } from 'vitest'
import { z } from 'zod'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import {
  bigint,
  type Connector,
  defineConnector,
  defineStream,
  defineTable,
  SourceError,
  type SourceErrorKind,
} from '../define/index.ts'
import { superviseConnector } from './supervise.ts'

const things = defineTable({ name: 'supervised.things', key: 'id', columns: { id: bigint().notNull() } })

/** Passes are numbered from 1; `failing` says how the check (0) or a pass ends. */
function connector(failing: (pass: number) => SourceErrorKind | null): Connector {
  let passes = 0
  const failAs = (kind: SourceErrorKind | null) => {
    if (kind !== null) throw new SourceError({ kind, code: `TEST_${kind}`, message: `said ${kind}`, mend: 'none' })
  }
  return defineConnector({
    name: 'source',
    credential: 'source',
    budgets: [],
    streams: [
      defineStream<number>({
        name: 'things',
        tables: [things],
        state: { version: 1, schema: z.number() },
        everyMs: 5,
        async *sync() {
          passes += 1
          failAs(failing(passes))
          yield { op: 'upsert', table: things, row: { id: passes } }
          yield { op: 'checkpoint', state: passes }
        },
      }),
    ],
    check: async () => {
      failAs(failing(0))
      return []
    },
  })
}

test('a connector that is refused at the start stops the service, one that cannot be reached does not', async () => {
  await using database = await createTestDatabase('supervise')
  const stop = new AbortController()
  const warnings: string[] = []
  const shared = {
    pool: database.pool,
    signal: stop.signal,
    log: { info: () => undefined, warn: (_: object, message: string) => warnings.push(message) },
    againMs: 1,
  }
  await expect(superviseConnector({ ...shared, connector: connector(() => 'auth') })).rejects.toMatchObject({
    code: 'TEST_auth',
  })
  const running = superviseConnector({ ...shared, connector: connector((pass) => (pass === 0 ? 'transient' : null)) })
  await eventually(async () => {
    expect((await database.query('select from supervised.things limit 3')).rowCount).toBe(3)
  })
  stop.abort()
  await running
  expect(warnings).toEqual(['The source could not be checked; its streams will repeat.'])
})

test('a connector that is refused later is tried again and goes on where it was', async () => {
  await using database = await createTestDatabase('supervise')
  const stop = new AbortController()
  const warnings: string[] = []
  const running = superviseConnector({
    pool: database.pool,
    connector: connector((pass) => (pass === 2 ? 'auth' : null)),
    signal: stop.signal,
    log: { info: () => undefined, warn: (_, message) => warnings.push(message) },
    againMs: 1,
  })
  await eventually(async () => {
    const { rows } = await database.query<{ id: bigint }>('select id from supervised.things order by id limit 3')
    expect(rows.map(({ id }) => id)).toEqual([1n, 3n, 4n])
  })
  stop.abort()
  await running
  expect(warnings).toEqual(['The connector was refused; it is tried again in a minute.'])
})
