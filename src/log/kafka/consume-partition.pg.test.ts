/** One partition at a time, with records made by hand and a real PostgreSQL. */
import { expect, test } from 'vitest'
import { barrierRecord, type MadeRecord, read, rowRecord } from '../../../test/support/kafka/records.ts'
import { applied, copying, NAME, prepared } from '../../../test/support/stage.ts'
import { parseLsn } from '../../db/lsn.ts'
import type { Pool } from '../../db/pool.ts'
import type { Entry } from '../log.ts'
import type { Stage } from '../stage.ts'
import { PartitionRunner } from './consume-partition.ts'
import { ensurePartitions } from './partitions.ts'
import { readPartition, readPartitions } from './positions.ts'
import { hopContent, leastOf, Reflector } from './positions-reflected.ts'

const signal = new AbortController().signal
const source = { topic: 'x.public.t', partition: 0 }

async function open(pool: Pool, stage: Stage<readonly Entry[]> = copying(), at = source) {
  await ensurePartitions(pool, NAME, [source, { ...source, partition: 1 }])
  return another(pool, stage, at)
}

function another(
  pool: Pool,
  stage: Stage<readonly Entry[]> = copying(),
  at = source,
  writer: 'rescore' | 'debezium' = 'rescore',
) {
  const runner = new PartitionRunner<readonly Entry[]>({
    pool,
    stage: NAME,
    source: at,
    table: 'public.t',
    kindOf: (_, column) => (column === 'id' ? 'text' : undefined),
    writer,
    owner: 'test',
    report: () => undefined,
    leastHandled: () => 0n,
    onMoved: () => undefined,
    withStage: (work) => work(stage),
  })
  return { handle: (made: readonly MadeRecord[], first = 0) => runner.handle(read(made, first), signal), runner }
}

const rows = (...lsns: readonly number[]) => lsns.map((lsn) => rowRecord(lsn))

test('what was published twice, or is read again from the start, is applied once, and the offset goes along', async () => {
  await using db = await prepared()
  const first = await open(db.pool)
  await first.handle([...rows(100, 200), ...rows(100, 200, 300)])
  await first.handle(rows(100, 200))
  const second = another(db.pool)
  await second.handle([...rows(100, 200, 300), rowRecord(300, 1), ...rows(400)])
  expect(await applied(db.pool)).toEqual(['100.0', '200.0', '300.0', '300.1', '400.0'])
  expect(await readPartition(db.pool, NAME, source)).toMatchObject({
    position: { lsn: 400n, index: 0 },
    nextOffset: 5n,
  })
})

test('a worker that wakes up after its partition was handled by another drops its batch and writes nothing', async () => {
  await using db = await prepared()
  const [inside, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const asleep = copying()
  const zombie = await open(db.pool, {
    ...asleep,
    apply: async (work, context) => {
      await asleep.apply(work, context)
      inside.resolve()
      await gate.promise
    },
  })
  const late = zombie.handle(rows(100, 200))
  await inside.promise
  await another(db.pool).handle(rows(100, 200, 300))
  gate.resolve()
  await expect(late).rejects.toMatchObject({ code: 'LOG_PARTITION_MOVED', fate: 'retry' })
  expect(await applied(db.pool)).toEqual(['100.0', '200.0', '300.0'])
  // It goes on from where the other one left the partition.
  await zombie.handle(rows(100, 200, 300, 400))
  expect(await applied(db.pool)).toEqual(['100.0', '200.0', '300.0', '400.0'])
})

test('records that cannot be decoded are kept aside whole, the rest goes through, and their table is stale', async () => {
  await using db = await prepared()
  const planned: string[] = []
  const plain = copying()
  const runner = await open(db.pool, {
    ...plain,
    plan: (batch) => {
      planned.push(...batch.entries.map((entry) => (entry.kind === 'change' ? entry.op : entry.kind)))
      return plain.plan(batch)
    },
    sweepNeeded: () => true,
  })
  const broken = { ...rowRecord(200), value: '{"op"' }
  const misplaced = { ...rowRecord(250), headers: { 'rescore.position': 'nowhere' } }
  await runner.handle([rowRecord(100), broken, misplaced, rowRecord(300)])
  expect(planned).toEqual(['insert', 'truncate', 'update', 'truncate', 'update', 'insert'])
  expect(await applied(db.pool)).toContain('300.0')
  const { rows: letters } = await db.query(
    `select record_offset::integer as at, convert_from(value, 'UTF8') as value, reason from rescore.dead_letter order by 1`,
  )
  expect(letters).toMatchObject([
    { at: 1, value: '{"op"', reason: expect.stringMatching(/not JSON/) },
    { at: 2, reason: expect.stringMatching(/no position/) },
  ])
  const { rows: shared } = await db.query('select sweeps_wanted from rescore.shared_stage')
  expect(shared).toEqual([{ sweeps_wanted: 2 }])
  await runner.handle([rowRecord(100), broken, misplaced, rowRecord(300)])
  expect((await db.query('select from rescore.dead_letter')).rows).toHaveLength(2)
})

test('records of another program are told apart by offset, and vouched for up to before their own LSN', async () => {
  await using db = await prepared()
  const runner = await open(db.pool)
  const foreign = (lsn: number) => ({ ...rowRecord(lsn), headers: {} })
  await runner.handle([foreign(500), foreign(400), foreign(600)])
  await another(db.pool).handle([foreign(500), foreign(400), foreign(600), foreign(600)])
  expect(await applied(db.pool)).toHaveLength(4)
  expect(await readPartition(db.pool, NAME, source)).toMatchObject({ nextOffset: 4n, reflectedLsn: 599n })
})

test('a partition vouches for what stands before its last transaction; the whole for the least, once it is swept', async () => {
  await using db = await prepared()
  const first = await open(db.pool)
  const second = another(db.pool, copying(), { ...source, partition: 1 })
  const reflector = new Reflector({
    pool: db.pool,
    stage: NAME,
    report: () => undefined,
    isFollowed: true,
    isFirst: true,
  })
  const whole = async () => {
    await reflector.settle()
    const found = await db.query<{ lsn: string }>(
      `select reflected_lsn::text as lsn from rescore.stage_position where topic = ''`,
    )
    return parseLsn(found.rows[0]?.lsn ?? '')
  }
  await first.handle([...rows(100), rowRecord(200, 0), rowRecord(200, 1)])
  expect(leastOf(await readPartitions(db.pool, NAME)).handledLsn).toBe(0n)
  await second.handle([barrierRecord(300)])
  expect(await whole()).toBe(0n)
  await db.query('update rescore.shared_stage set sweeps_done = sweeps_wanted')
  expect(await whole()).toBe(199n)
  await first.handle([barrierRecord(300)])
  expect(await whole()).toBe(299n)
  // Of a hop of a stage it does not follow it writes nothing.
  const before = await readPartitions(db.pool, NAME)
  await first.handle([barrierRecord(400, hopContent(NAME, { lsn: 299n, atMs: 0 }))])
  expect(await readPartitions(db.pool, NAME)).toEqual(before)
})

test('a stage that follows another vouches for what that one said in the last hop, and for nothing else', async () => {
  await using db = await prepared()
  const runner = await open(db.pool, copying({ upstream: 'first' }))
  await runner.handle([
    ...rows(100),
    barrierRecord(200),
    barrierRecord(250, hopContent('other', { lsn: 240n, atMs: 0 })),
  ])
  expect(await readPartition(db.pool, NAME, source)).toMatchObject({ reflectedLsn: 0n })
  await runner.handle([barrierRecord(300, hopContent('first', { lsn: 90n, atMs: 5 })), ...rows(400)])
  expect(await readPartition(db.pool, NAME, source)).toMatchObject({ reflectedLsn: 90n })
})

test("of another program's topic each record is handled once by its offset, vouches for nothing, and is passed", async () => {
  await using db = await prepared()
  await open(db.pool)
  const made = [100, 200, 300].map((lsn) => ({ ...rowRecord(lsn), headers: {} }))
  const theirs = another(db.pool, copying(), source, 'debezium')
  await theirs.handle(made)
  // Read again by us, and written again by a Connect worker that was killed: the first is passed over, the second is not.
  await theirs.handle([...made, ...made.slice(1)])
  await theirs.handle([{ key: '{"id":"300"}', value: null, headers: {} }], 5)
  expect(await applied(db.pool)).toEqual(['100.0', '200.0', '300.0', '300.1', '300.2'])
  expect(await readPartition(db.pool, NAME, source)).toMatchObject({
    position: { lsn: 300n, index: 3 },
    nextOffset: 6n,
    reflectedLsn: 0n,
  })
})
