/** Features of what a company makes in public on GitHub. None of these is an input of the shipped models (see the model cards). */
import { activity, organisations } from '../connectors/github/index.ts'
import { defineFeature } from '../src/define/index.ts'
import { daysBetween } from './company-activity.ts'
import { company } from './company-entity.ts'
import { site } from './web-entity.ts'

const work = site.many(activity, { through: organisations, from: 'domain', to: 'login' })

export const githubRepositories = defineFeature({
  entity: company,
  name: 'github_repositories',
  version: 1,
  type: 'integer',
  description: 'Public repositories of its own on GitHub, at most 100; 0 without an organisation',
  inputs: { repositories: work.sum('repositories') },
  compute: ({ repositories }) => repositories,
})

export const githubLogStars = defineFeature({
  entity: company,
  name: 'github_log_stars',
  version: 1,
  type: 'number',
  description: 'ln(1 + stars) of its repositories on GitHub; 0 without an organisation',
  inputs: { stars: work.sum('stars') },
  equal: { rel: 1e-12 },
  compute: ({ stars }) => Math.log1p(stars),
})

export const githubActiveDays = defineFeature({
  entity: company,
  name: 'github_active_days',
  version: 1,
  type: 'integer',
  description: 'Days from its entry into the CRM to the last push to GitHub; negative when nothing was pushed since',
  inputs: { pushed: work.max('last_push_at'), entered: company.columns.createdate },
  compute: ({ pushed, entered }) => daysBetween(entered, pushed),
})
