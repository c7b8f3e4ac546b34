import { expect, test } from 'vitest'
import type { StageEvent } from '../log/stage.ts'
import { EventLines } from './events.ts'

const recomputed: StageEvent = {
  type: 'recomputed',
  entity: 'company',
  key: '123',
  causes: [
    {
      table: 'hubspot.company',
      key: '123',
      op: 'update',
      column: 'numberofemployees',
      from: '12',
      to: '15',
      lsn: '0/1',
      committedAtMs: 1_000,
    },
  ],
  moves: [
    { feature: 'team_size', from: 12, to: 15 },
    { feature: 'log_team_size', from: 2.48490665, to: 2.7080502 },
  ],
  computed: 2,
}
const scored: StageEvent = {
  type: 'scored',
  model: 'growth',
  version: '1.2.0',
  entity: 'company',
  key: '123',
  from: { label: 'steady', probability: 0.08 },
  to: { label: 'growing', probability: 0.31 },
  sourceAtMs: 1_000,
}

test('a score is told with its causes, its features and its latency', () => {
  const lines = new EventLines(() => 1_014)
  expect(lines.add(recomputed)).toBeNull()
  expect(lines.add(scored)).toEqual({
    kind: 'changed',
    text: 'company 123 numberofemployees 12 → 15 · features team_size 12→15, log_team_size 2.485→2.708 · growth 1.2.0 · steady 0.08 → growing 0.31 · 14 ms',
  })
  expect(lines.changed).toBe(1)
})

test('a first load is counted, not listed', () => {
  const lines = new EventLines(() => 0)
  expect(lines.add({ ...scored, from: null })).toBeNull()
  expect(lines.firstClassified).toBe(1)
})

test('text from the CRM cannot steer the terminal, and long text is cut', () => {
  const lines = new EventLines(() => 1_000)
  const [cause] = recomputed.causes
  if (cause === undefined || cause.op === 'time') throw new Error('the fixture has a cause')
  lines.add({ ...recomputed, causes: [{ ...cause, from: '\u001b[2Jgone', to: 'x'.repeat(500) }] })
  const text = lines.add(scored)?.text ?? ''
  expect(text).not.toContain('\u001b')
  expect(text.length).toBeLessThan(300)
})

test('a failure is told with its code', () => {
  const line = new EventLines(() => 0).add({ type: 'failed', stage: 'score', code: 'MODEL_RUN', message: 'no' })
  expect(line).toEqual({ kind: 'failed', text: 'score: MODEL_RUN: no' })
})
