/**
 * The log held against a model so simple that it is plainly right: lists of positions.
 * Part of the contract (log-contract.ts), for any history of appends, batches and partial acknowledgements.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import { comparePositions, END_OF_TRANSACTION, type Position, START } from '../../src/log/position.ts'
import { piece } from './log-chunks.ts'

export type LogFactory = (options: {
  readonly stages: ReadonlyMap<string, Position>
  readonly maxBytes?: number
}) => Promise<{ readonly log: Log } & AsyncDisposable>

const at = (lsn: number, index: number): Position => ({ lsn: BigInt(lsn), index })
const never = new AbortController().signal

export function testAgainstModel(factory: LogFactory): void {
  test('for any history: order, nothing lost, true ends, and never confirmable too early or too late', async () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('append' as const),
          sizes: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('take' as const),
          stage: fc.constantFrom('a', 'b'),
          max: fc.integer({ min: 1, max: 4 }),
          share: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
      },
    )
    const start = fc.record({ lsn: fc.constantFrom(0, 100, 200, 300), index: fc.nat(3) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.record({ a: start, b: start }), async (steps, starts) => {
        const done = new Map(Object.entries(starts).map(([stage, { lsn, index }]) => [stage, at(lsn, index)]))
        await using opened = await factory({ stages: new Map(done) })
        const { log } = opened
        const appended: Position[] = []
        const commits: { lsn: bigint; endLsn: bigint }[] = []
        let lsn = 0
        const left = (stage: string) =>
          appended.filter((position) => comparePositions(position, done.get(stage) ?? START) > 0)
        for (const each of steps) {
          if (each.do === 'append') {
            // One transaction, in as many pieces as there are sizes; the commit is in the last.
            lsn += 100
            let index = 0
            for (const [place, size] of each.sizes.entries()) {
              const isLast = place === each.sizes.length - 1
              if (size === 0 && !isLast) continue
              const chunk = piece(lsn, [index, index + size], isLast)
              await log.append(chunk, never)
              appended.push(...chunk.entries.map(({ position }) => position))
              if (chunk.commit !== null) commits.push(chunk.commit)
              index += size
            }
          } else {
            const waiting = left(each.stage)
            const batch = await log.next(each.stage, { maxEntries: each.max, waitMs: 0, signal: never })
            const got = batch?.entries.map(({ position }) => position) ?? []
            expect(got).toEqual(waiting.slice(0, got.length))
            expect(got.length).toBeLessThanOrEqual(each.max)
            if (batch === null) expect(waiting).toEqual([])
            else if (got.length === 0) expect(waiting).toEqual([])
            else if (batch.end.index === END_OF_TRANSACTION) {
              expect(batch.end.lsn).toBe(got.at(-1)?.lsn)
              expect(waiting[got.length]?.lsn).not.toBe(batch.end.lsn)
              expect(commits.some((commit) => commit.lsn === batch.end.lsn)).toBe(true)
            } else expect(batch.end).toEqual(got.at(-1))
            const part = got[Math.floor(each.share * got.length)] ?? batch?.end
            if (part !== undefined) {
              log.acknowledge(each.stage, part)
              done.set(each.stage, part)
            }
          }
          const unfinished = ['a', 'b'].flatMap((stage) => left(stage).slice(0, 1)).sort(comparePositions)[0]
          const finished = commits.filter((commit) => unfinished === undefined || commit.lsn < unfinished.lsn).at(-1)
          expect(log.confirmableLsn()).toBe(finished?.endLsn ?? null)
          expect(log.isIdle()).toBe(unfinished === undefined)
          for (const stage of ['a', 'b']) expect(log.backlog(stage)).toBe(left(stage).length)
        }
      }),
      { numRuns: 300 },
    )
  })
}
