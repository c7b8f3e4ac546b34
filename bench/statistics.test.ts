import { expect, test } from 'vitest'
import { median, perSecond, quantile, summarise } from './statistics.ts'
import { holdAgainstTargets, TARGETS } from './targets.ts'

const upTo = (n: number) => Array.from({ length: n }, (_, index) => n - index)

test('quantiles are samples that occurred, whatever the order they came in', () => {
  expect(summarise(upTo(200))).toEqual({ samples: 200, p50: 100, p90: 180, p99: 198, max: 200 })
  expect(summarise([7])).toEqual({ samples: 1, p50: 7, p90: 7, p99: 7, max: 7 })
  expect(median([3, 1, 2])).toBe(2)
})

test('no samples give no figure', () => {
  expect(() => quantile([], 0.5)).toThrow(RangeError)
})

test('a rate is of whole things per second', () => {
  expect(perSecond(60_000, 20_000)).toBe(3_000)
})

test('a target is met at its bound, missed beyond it, and open where nothing was measured', () => {
  const figures = {
    latency: { idle: { fromCommitMs: { p99: 25 } }, steady: { fromCommitMs: { p99: 100.001 } } },
    throughput: { failed: 'no database' },
  }
  const results = holdAgainstTargets(figures, TARGETS)
  const met = Object.fromEntries(results.map((result) => [result.name, result.met]))
  expect(met['p99 idle, ms']).toBe(true)
  expect(met['p99 at 200 changes/s, ms']).toBe(false)
  expect(met['sustained changes/s']).toBe(null)
})
