/** docs/operations.md lists every metric there is, with its kind and labels, and none that there is not. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createMetricTable, type DeclaredMetric } from '../../src/observe/metric-table.ts'
import { Metrics } from '../../src/observe/metrics.ts'

const document = readFileSync(resolve(import.meta.dirname, '../../docs/operations.md'), 'utf8')

/** | `name` | kind | `label`, `label` | what it says | */
const ROW = /^\| `(rescore_\w+)` +\| (gauge|counter|histogram) +\| ([^|]*)\|/gm
const documented = [...document.matchAll(ROW)].map(([, name, kind, labels = '']) => ({
  name,
  kind,
  labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
}))

const declared: DeclaredMetric[] = []
createMetricTable(new Registry(), declared)

test('the table of metrics and the registry agree', () => {
  const sorted = (rows: readonly { readonly name: string | undefined }[]) =>
    [...rows].sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1))
  expect(declared.length).toBeGreaterThan(30)
  expect(sorted(documented)).toEqual(sorted(declared))
})

test('names are ours, in base units, and totals say that they are', () => {
  for (const { name, kind } of declared) {
    expect(name).toMatch(/^rescore_[a-z]+(_[a-z]+)+$/)
    expect(name).not.toMatch(/_(ms|milliseconds|minutes|kb|kilobytes|mb|megabytes)(_|$)/)
    expect(name.endsWith('_total')).toBe(kind === 'counter')
    if (kind === 'histogram') expect(name).toMatch(/_seconds$/)
  }
})

test('no label holds what grows with the data', () => {
  const ofParts = ['budget', 'code', 'connector', 'model', 'node', 'part', 'role', 'stage', 'stream', 'version']
  const ofFeatures = ['entity', 'feature', 'otherwise', 'rule']
  const bounded = [...ofParts, ...ofFeatures].sort()
  expect([...new Set(declared.flatMap(({ labels }) => labels))].sort()).toEqual(bounded)
})

test('metrics of the process are named too', async () => {
  const metrics = new Metrics()
  metrics.collectProcess()
  const names = (await metrics.registry.getMetricsAsJSON()).map(({ name }) => name)
  const ofProcess = names.filter((name) => !name.startsWith('rescore_'))
  expect(ofProcess.length).toBeGreaterThan(20)
  expect(ofProcess.filter((name) => !document.includes(`\`${name}\``))).toEqual([])
})
