/** Features of a site's traffic, from Tranco's list. None of these is an input of the shipped models (see the model cards). */
import { trancoRanks } from '../connectors/tranco/index.ts'
import { defineFeature } from '../src/define/index.ts'
import { company } from './company-entity.ts'
import { byDomain } from './web-entity.ts'

const ranks = company.many(trancoRanks, byDomain)

export const trafficRank = defineFeature({
  entity: company,
  name: 'traffic_rank',
  version: 1,
  type: 'integer',
  description: 'Rank of its site among the million most visited, 1 the first; null when it is not among them',
  inputs: { rank: ranks.min('rank') },
  compute: ({ rank }) => rank,
})

export const logTrafficRank = defineFeature({
  entity: company,
  name: 'log_traffic_rank',
  version: 1,
  type: 'number',
  description: 'ln of the rank: from 10 to 100 is as far as from 10,000 to 100,000',
  inputs: { rank: trafficRank },
  equal: { rel: 1e-12 },
  compute: ({ rank }) => (rank === null || rank < 1 ? null : Math.log(rank)),
})
