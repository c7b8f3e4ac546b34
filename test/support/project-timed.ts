/** The test project with features that change by the second: their timers fire all the time. */
import {
  type AnyFeature,
  daysSince,
  defineConfig,
  defineFeature,
  type ProjectConfig,
  refreshEvery,
} from '../../src/define/index.ts'
import { company, relations } from './project.ts'
import { features, model } from './project-features.ts'

const ofCompany = { entity: company, version: 1, description: '' }

const recentEvents = defineFeature({
  ...ofCompany,
  name: 'recent_events',
  type: 'integer',
  inputs: { count: relations.events.window('2s', { on: 'happened_at' }).count() },
  compute: ({ count }) => count,
})

const pulse = defineFeature({
  ...ofCompany,
  name: 'pulse',
  type: 'number',
  inputs: { began: refreshEvery('1s', { slack: '1s' }) },
  compute: ({ began }) => began / 1_000,
})

const beat = defineFeature({
  ...ofCompany,
  name: 'beat',
  type: 'text',
  inputs: { pulse, recentEvents },
  compute: (inputs) => `${(inputs.pulse ?? 0) % 3} ${inputs.recentEvents}`,
})

const days = defineFeature({
  ...ofCompany,
  name: 'days',
  type: 'integer',
  inputs: { days: daysSince(company.columns.founded_at, { zone: 'Europe/Oslo' }) },
  compute: ({ days }) => (days !== null && Number.isFinite(days) ? days : null),
})

export const timed: readonly AnyFeature[] = [recentEvents, pulse, beat, days]

export const timedConfig: ProjectConfig = defineConfig({ features: [...features, ...timed], models: [model] })
