/**
 * The test project after a release: one feature computes otherwise (and has a reader), one is new, one is gone, one has
 * another type. The same names, so that stored values of the one release are stale in the other, both ways.
 */
import { defineConfig, defineFeature, type ProjectConfig } from '../../src/define/index.ts'
import { company, relations } from './project.ts'
import { features, model } from './project-features.ts'

const common = { entity: company, description: '' }

const size = defineFeature({
  ...common,
  name: 'size',
  version: 2,
  type: 'text',
  inputs: { employees: company.columns.employees },
  compute: ({ employees }) => (employees === null ? null : employees > 20 ? 'large' : 'small'),
})

const profile = defineFeature({
  ...common,
  name: 'profile',
  version: 2,
  type: 'text',
  inputs: { size, founded: company.columns.founded_at },
  compute: (inputs) => `${inputs.size}, ${inputs.founded}`,
})

const aboutLength = defineFeature({
  ...common,
  name: 'about_length',
  version: 2,
  type: 'text',
  inputs: { about: company.columns.about },
  compute: ({ about }) => (about === null ? null : `${about.length} letters`),
})

const lost = defineFeature({
  ...common,
  name: 'lost_deals',
  version: 1,
  type: 'integer',
  inputs: { count: relations.deals.count({ where: { stage: 'lost' } }) },
  compute: ({ count }) => count,
})

const changed = [size, profile, aboutLength, lost]
/** `initial` is the one that throws: without it, entities that were put aside heal. */
const left = new Set(['initial', ...changed.map(({ name }) => name)])

export const changedConfig: ProjectConfig = defineConfig({
  features: [...features.filter(({ name }) => !left.has(name)), ...changed],
  models: [model],
})
