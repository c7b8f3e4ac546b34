/** What a computed entity says of its next change, without a database. */
import { expect, test } from 'vitest'
import {
  type AnyFeature,
  bigint,
  daysSince,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  latenessMs,
  refreshEvery,
  timestamp,
} from '../define/index.ts'
import { compileGraph } from '../graph/compile.ts'
import { computeRow } from './compute.ts'
import type { LoadedRow } from './load.ts'
import { compileProgram } from './program.ts'

const companies = defineTable({
  name: 'app.companies',
  key: 'id',
  columns: { id: bigint().notNull(), seen: timestamp() },
})
const company = defineEntity({ name: 'company', table: companies })
const base = { entity: company, version: 1, type: 'integer', description: '' } as const

const HOUR_MS = 3_600_000
const NOW = Date.parse('2024-02-29T10:30:00Z')

function programOf(features: readonly AnyFeature[]) {
  const node = compileGraph(defineConfig({ features })).entities.get('company')
  if (node === undefined) throw new Error('There is no company.')
  return compileProgram(node)
}

function rowOf(key: string, seenMicros: string | null, count: number): LoadedRow {
  const stored = Array.from({ length: count }, () => null)
  const standing = { aside: null, epoch: 1, silencedBy: null, stored, open: new Map() }
  return { key, nowMs: NOW, exists: true, ...standing, read: () => seenMicros }
}

const all = (program: ReturnType<typeof programOf>) => ({ forced: program.all, needed: program.all })

test('a period with slack begins and ends late by the entity’s own share', () => {
  const hourly = defineFeature({
    ...base,
    name: 'hourly',
    inputs: { began: refreshEvery('1h', { slack: '40m' }) },
    compute: ({ began }) => began,
  })
  const program = programOf([hourly])
  for (const key of ['1', '2', '3', '4']) {
    const late = latenessMs('company', key, 40 * 60_000)
    const began = Math.floor((NOW - late) / HOUR_MS) * HOUR_MS
    const { values, due } = computeRow(program, rowOf(key, null, 1), all(program), true)
    expect(values).toEqual([began])
    expect(due).toEqual([{ bit: 0, dueMs: began + HOUR_MS + late }])
    expect(due[0]?.dueMs).toBeGreaterThan(NOW)
  }
})

test('days since nothing, or since for ever, are never due; days since a day are due at the next midnight there', () => {
  const days = defineFeature({
    ...base,
    name: 'days',
    inputs: { days: daysSince(company.columns.seen, { zone: 'Asia/Kathmandu' }) },
    compute: ({ days }) => (days === null || !Number.isFinite(days) ? null : days),
  })
  const program = programOf([days])
  const dueOf = (seen: string | null) => computeRow(program, rowOf('1', seen, 1), all(program), true)
  expect(dueOf(null)).toMatchObject({ values: [null], due: [{ bit: 0, dueMs: null }] })
  expect(dueOf('Infinity')).toMatchObject({ values: [null], due: [{ bit: 0, dueMs: null }] })
  const yesterday = `${Date.parse('2024-02-28T12:00:00Z')}000.000000`
  const midnight = Date.parse('2024-02-29T18:15:00Z')
  expect(dueOf(yesterday)).toMatchObject({ values: [1], due: [{ bit: 0, dueMs: midnight }] })
})

test('a feature that fails says when its inputs change, and so do those before it; those after it are not asked', () => {
  const every = (name: string, compute: () => number) =>
    defineFeature({ ...base, name, inputs: { began: refreshEvery('1h') }, compute })
  const fails = () => {
    throw new Error('Not yet.')
  }
  const program = programOf([every('a', () => 1), every('b', fails), every('c', () => 1)])
  const { failure, due } = computeRow(program, rowOf('1', null, 3), all(program), true)
  expect(failure).toMatchObject({ feature: 'b', code: 'FEATURE_THREW' })
  const dueMs = Date.parse('2024-02-29T11:00:00Z')
  expect(due).toEqual([
    { bit: 0, dueMs },
    { bit: 1, dueMs },
  ])
})

test('only features with inputs of their own that know the time are timed, not their readers', () => {
  const hourly = defineFeature({
    ...base,
    name: 'hourly',
    inputs: { began: refreshEvery('1h') },
    compute: ({ began }) => began,
  })
  const reader = defineFeature({ ...base, name: 'reader', inputs: { hourly }, compute: ({ hourly }) => hourly })
  const program = programOf([hourly, reader])
  expect(program.timed).toBe(1n)
  const { due, values } = computeRow(program, rowOf('1', null, 2), all(program), true)
  expect(due.map(({ bit }) => bit)).toEqual([0])
  expect(values[1]).toBe(values[0])
})
