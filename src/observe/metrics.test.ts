import { expect, test } from 'vitest'
import { Metrics } from './metrics.ts'

const linesOf = async (metrics: Metrics, name: string) =>
  (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith(name))

test('a code made out of data does not become a series of its own', async () => {
  const metrics = new Metrics()
  const fail = (code: string) => metrics.stageEvent({ type: 'failed', stage: 'score', code, message: 'x' })
  fail('LOG_FENCED')
  for (const code of ['a "b"\nc', 'lower', '', 'X'.repeat(65)]) fail(code)
  for (let index = 0; index < 200; index += 1) fail(`MADE_${index}`)
  const series = await linesOf(metrics, 'rescore_stage_failures_total{')
  expect(series.length).toBeLessThanOrEqual(61)
  expect(series).toContain('rescore_stage_failures_total{stage="score",code="LOG_FENCED"} 1')
  const counted = series.map((line) => Number(line.slice(line.lastIndexOf(' '))))
  expect(counted.reduce((sum, count) => sum + count, 0)).toBe(205)
})

test('what a stage, a connector and capture report is counted in base units', async () => {
  const metrics = new Metrics()
  metrics.stageEvent({ type: 'batch', stage: 'score', entries: 7, ms: 30 })
  metrics.stageEvent({ type: 'sweep', stage: 'score', isMoreLeft: true, ms: 30 })
  const at = { connector: 'hubspot', stream: 'companies' }
  metrics.watchStreams('hubspot', ['companies', 'deals'])
  metrics.connectorEvent({ ...at, event: 'landed', landed: { written: 3, rejected: 1 } })
  metrics.connectorEvent({ ...at, event: 'pass' })
  metrics.connectorEvent({ ...at, event: 'failed', error: Object.assign(new Error('x'), { code: 'HUBSPOT_RATE' }) })
  metrics.connectorEvent({ ...at, event: 'failed', error: new Error('x') })
  metrics.published(5, 900)
  const text = (await metrics.registry.metrics()).split('\n')
  for (const line of [
    'rescore_stage_entries_total{stage="score"} 7',
    'rescore_stage_batch_duration_seconds_sum{stage="score"} 0.03',
    'rescore_stage_sweeping{stage="score"} 1',
    'rescore_connector_landed_records_total{connector="hubspot",stream="companies"} 3',
    'rescore_connector_rejected_records_total{connector="hubspot",stream="companies"} 1',
    'rescore_connector_landed_records_total{connector="hubspot",stream="deals"} 0',
    'rescore_connector_passes_total{connector="hubspot",stream="companies"} 1',
    'rescore_connector_failures_total{connector="hubspot",stream="companies",code="HUBSPOT_RATE"} 1',
    'rescore_connector_failures_total{connector="hubspot",stream="companies",code="OTHER"} 1',
    'rescore_capture_published_records_total 5',
    'rescore_capture_published_bytes_total 900',
  ]) {
    expect(text).toContain(line)
  }
})

test('freshness is of classifications that moved because of a change, not of first loads', async () => {
  const metrics = new Metrics()
  const scored = {
    type: 'scored',
    model: 'growth',
    version: '1',
    entity: 'company',
    key: '1',
    to: { label: 'b', probability: 1 },
  } as const
  metrics.stageEvent({ ...scored, from: null, sourceAtMs: Date.now() })
  metrics.stageEvent({ ...scored, from: { label: 'a', probability: 1 }, sourceAtMs: null })
  metrics.stageEvent({ ...scored, from: { label: 'a', probability: 1 }, sourceAtMs: Date.now() - 3_000 })
  const name = 'rescore_change_to_classification_seconds'
  expect(await linesOf(metrics, `${name}_count`)).toEqual([`${name}_count{model="growth"} 1`])
  expect(await linesOf(metrics, `${name}_bucket{le="2",`)).toEqual([`${name}_bucket{le="2",model="growth"} 0`])
})
