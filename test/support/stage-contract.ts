/**
 * What every log owes the stages behind it, as a suite: the embedded log and Kafka must both pass it.
 *
 * It asks only for what holds on both: entries at least once and in order of each row, effects once, a reflected position
 * that is never ahead of the effects. How a log in one piece hands out its batches is log-contract.ts.
 */
import { describe, expect, test } from 'vitest'
import type { Pool } from '../../src/db/pool.ts'
import { RescoreError } from '../../src/errors.ts'
import type { Entry } from '../../src/log/log.ts'
import type { Stage, StageEvent } from '../../src/log/stage.ts'
import { eventually } from './eventually.ts'
import { applied, copying, NAME, writeAll } from './stage.ts'

export interface RunningStage extends AsyncDisposable {
  readonly done: Promise<void>
  readonly events: readonly StageEvent[]
}

/** A log and a database with the tables of stage.ts. Disposing ends what was started. */
export interface StageSetting extends AsyncDisposable {
  readonly pool: Pool
  /** A transaction that inserted `count` rows, or changed the row `id` that often. */
  append(lsn: number, count: number, id?: string): Promise<void>
  barrier(lsn: number): Promise<void>
  /** A process that runs the stage from where it stands. */
  start(stage: Stage<readonly Entry[]>): Promise<RunningStage>
}

const ids = (lsn: number, count: number) => Array.from({ length: count }, (_, index) => `${lsn}.${index}`)

async function reflected({ pool }: StageSetting): Promise<bigint> {
  const { rows } = await pool.query<{ lsn: bigint }>(
    `select (reflected_lsn - '0/0')::bigint as lsn from rescore.stage_position where stage = $1 and topic = ''`,
    [NAME],
  )
  return rows[0]?.lsn ?? 0n
}

const reflectedUntil = (setting: StageSetting, lsn: number) =>
  eventually(async () => expect(await reflected(setting)).toBeGreaterThanOrEqual(BigInt(lsn)))

/** Fails as often as asked, with its effects written already, then goes well. */
function failing(times: number, fail: (context: Parameters<typeof writeAll>[1]) => Promise<unknown>) {
  let left = times
  return copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      if (left === 0) return
      left -= 1
      await fail(context)
    },
  })
}

export function describeStageContract(name: string, open: () => Promise<StageSetting>): void {
  describe(`what a log owes its stages: ${name}`, () => {
    test('effects count once, though a next life is sent everything again', async () => {
      await using setting = await open()
      const first = await setting.start(copying())
      await setting.append(100, 3)
      await setting.barrier(150)
      await reflectedUntil(setting, 149)
      await first[Symbol.asyncDispose]()
      await setting.append(100, 3)
      await setting.append(200, 2)
      await setting.barrier(250)
      await setting.start(copying())
      await reflectedUntil(setting, 249)
      expect(await applied(setting.pool)).toEqual([...ids(100, 3), ...ids(200, 2)])
    })

    test('changes of one row arrive in their order', async () => {
      await using setting = await open()
      const order: bigint[] = []
      await setting.start(
        copying({ committed: (entries) => void order.push(...entries.map(({ position }) => position.lsn)) }),
      )
      for (let lsn = 100; lsn < 130; lsn += 1) await setting.append(lsn, 2, 'same')
      await setting.barrier(200)
      await reflectedUntil(setting, 199)
      expect(order).toHaveLength(60)
      expect(order).toEqual([...order].sort((a, b) => Number(a - b)))
    })

    test('every stage gets everything, at its own pace', async () => {
      await using setting = await open()
      const release = Promise.withResolvers<void>()
      const seen = { slow: 0, quick: 0 }
      const counting = (stage: 'slow' | 'quick') =>
        copying({
          name: stage,
          apply: () => (stage === 'slow' ? release.promise : Promise.resolve()),
          committed: (entries) => {
            seen[stage] += entries.length
          },
        })
      await setting.start(counting('slow'))
      await setting.start(counting('quick'))
      await setting.append(100, 5)
      await eventually(() => expect(seen).toEqual({ slow: 0, quick: 5 }))
      release.resolve()
      await eventually(() => expect(seen).toEqual({ slow: 5, quick: 5 }))
    })

    test.each([
      ['a serialization failure', '40001'],
      ['a deadlock', '40P01'],
    ])('after %s effects and position are rolled back together, and the batch is repeated', async (_what, code) => {
      await using setting = await open()
      const stage = failing(2, ({ client }) =>
        client.query(`do $$ begin raise exception 'planted' using errcode = '${code}'; end $$`),
      )
      const running = await setting.start(stage)
      await setting.append(100, 1)
      await setting.barrier(150)
      await reflectedUntil(setting, 149)
      expect(await applied(setting.pool)).toEqual(ids(100, 1))
      expect(running.events.filter(({ type }) => type === 'failed').length).toBeGreaterThanOrEqual(2)
    })

    test('an error of fate stop ends the stage and leaves no effect; the next life has them all', async () => {
      await using setting = await open()
      const failure = new RescoreError({ code: 'TEST_STOP', fate: 'stop', message: 'planted', mend: 'none' })
      const running = await setting.start(failing(1_000, () => Promise.reject(failure)))
      await setting.append(100, 2)
      await expect(running.done).rejects.toBe(failure)
      expect(await applied(setting.pool)).toEqual([])
      await setting.start(copying())
      await eventually(async () => expect(await applied(setting.pool)).toEqual(ids(100, 2)))
    })

    test('an error swallowed inside a stage does not pass for a commit', async () => {
      await using setting = await open()
      const running = await setting.start(
        failing(1_000, ({ client }) => client.query('select 1/0').catch(() => undefined)),
      )
      await setting.append(100, 1)
      await expect(running.done).rejects.toMatchObject({ code: '25P02' })
      expect(await applied(setting.pool)).toEqual([])
    })

    test('a stop comes through in the middle of a batch, which leaves nothing and comes again', async () => {
      await using setting = await open()
      const inside = Promise.withResolvers<void>()
      const running = await setting.start(
        copying({
          apply: async (entries, context) => {
            await writeAll(entries, context)
            inside.resolve()
            await new Promise((_, reject) =>
              context.signal.addEventListener('abort', () => reject(context.signal.reason), { once: true }),
            )
          },
        }),
      )
      await setting.append(100, 3)
      await inside.promise
      await running[Symbol.asyncDispose]()
      expect(await applied(setting.pool)).toEqual([])
      await setting.start(copying())
      await eventually(async () => expect(await applied(setting.pool)).toEqual(ids(100, 3)))
    })

    test('the reflected position waits for what comes before it, and for stale rows', async () => {
      await using setting = await open()
      const release = Promise.withResolvers<void>()
      let isStale = true
      await setting.start(
        copying({
          apply: async (entries, context) => {
            await release.promise
            await writeAll(entries, context)
          },
          sweep: () => Promise.resolve(isStale),
        }),
      )
      await setting.append(100, 1)
      await setting.barrier(150)
      await setting.append(200, 1)
      expect(await reflected(setting)).toBeLessThan(100n)
      release.resolve()
      await eventually(async () => expect(await applied(setting.pool)).toEqual(['100.0', '200.0']))
      expect(await reflected(setting)).toBeLessThan(100n)
      isStale = false
      await setting.barrier(250)
      await reflectedUntil(setting, 249)
    })
  })
}
