/**
 * Features read out of a company's texts and lists: lengths, tags, regions, industry.
 *
 * Invariant: spellings that the publisher of the directory changed ("B2B Software and Services" → "B2B") map to one
 * value, so a rename moves no feature and wakes no model. Lengths count UTF-16 units on both sides, here and in Python.
 */
import { defineFeature } from '../src/define/index.ts'
import { company } from './company-entity.ts'

const columns = company.columns

/** @returns the entries of a ';'-separated value, trimmed, without empty ones */
export function entriesOf(list: string | null): readonly string[] {
  return (list ?? '')
    .split(';')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

export const descriptionLength = defineFeature({
  entity: company,
  name: 'description_length',
  version: 1,
  type: 'integer',
  description: 'Length of the long description in UTF-16 units; 0 when there is none',
  inputs: { description: columns.description },
  compute: ({ description }) => description?.length ?? 0,
})

export const oneLinerLength = defineFeature({
  entity: company,
  name: 'one_liner_length',
  version: 1,
  type: 'integer',
  description: 'Length of the one-line description in UTF-16 units; 0 when there is none',
  inputs: { oneLiner: columns.yc_one_liner },
  compute: ({ oneLiner }) => oneLiner?.length ?? 0,
})

export const tagCount = defineFeature({
  entity: company,
  name: 'n_tags',
  version: 1,
  type: 'integer',
  description: 'Number of tags',
  inputs: { tags: columns.yc_tags },
  compute: ({ tags }) => entriesOf(tags).length,
})

/** A flag that holds when any of `spellings` is among the tags, whatever their case. */
function tagFlag(name: string, description: string, spellings: readonly string[]) {
  const wanted = new Set(spellings.map((spelling) => spelling.toLowerCase()))
  return defineFeature({
    entity: company,
    name,
    version: 1,
    type: 'boolean',
    description,
    inputs: { tags: columns.yc_tags },
    compute: ({ tags }) => entriesOf(tags).some((tag) => wanted.has(tag.toLowerCase())),
  })
}

export const tagAi = tagFlag('tag_ai', 'Tagged with artificial intelligence, in any of its spellings', [
  'AI',
  'Artificial Intelligence',
  'Artifical Intelligence',
  'Machine Learning',
  'Generative AI',
])
export const tagSaas = tagFlag('tag_saas', 'Tagged as software as a service', ['SaaS'])
export const tagDeveloperTools = tagFlag('tag_developer_tools', 'Tagged with developer tools', ['Developer Tools'])
export const tagMarketplace = tagFlag('tag_marketplace', 'Tagged as a marketplace', ['Marketplace'])

export const regionCount = defineFeature({
  entity: company,
  name: 'n_regions',
  version: 1,
  type: 'integer',
  description: 'Number of regions it is listed under',
  inputs: { regions: columns.yc_regions },
  compute: ({ regions }) => entriesOf(regions).length,
})

export const fullyRemote = defineFeature({
  entity: company,
  name: 'fully_remote',
  version: 1,
  type: 'boolean',
  description: 'Works fully remotely',
  inputs: { regions: columns.yc_regions },
  compute: ({ regions }) => entriesOf(regions).includes('Fully Remote'),
})

/** In order: a company listed under several is of the first. */
const REGIONS: readonly (readonly [listed: string, region: string])[] = [
  ['United States of America', 'USA'],
  ['Europe', 'Europe'],
  ['South Asia', 'South Asia'],
  ['Latin America', 'Latin America'],
  ['Southeast Asia', 'Southeast Asia'],
  ['Africa', 'Africa'],
  ['Middle East and North Africa', 'MENA'],
  ['Canada', 'Canada'],
  ['East Asia', 'East Asia'],
  ['Oceania', 'Oceania'],
]

export const region = defineFeature({
  entity: company,
  name: 'region',
  version: 1,
  type: 'text',
  description: 'Main region, one of ten, or Other',
  inputs: { regions: columns.yc_regions },
  compute: ({ regions }) => {
    const listed = new Set(entriesOf(regions))
    return REGIONS.find(([name]) => listed.has(name))?.[1] ?? 'Other'
  },
})

const INDUSTRY_RENAMES: Readonly<Record<string, string>> = {
  'B2B Software and Services': 'B2B',
  'Financial Technology': 'Fintech',
}

export const industryGroup = defineFeature({
  entity: company,
  name: 'industry_group',
  version: 1,
  type: 'text',
  description: 'Industry under its present name; null when unspecified',
  inputs: { industry: columns.industry },
  compute: ({ industry }) => {
    const name = industry?.trim() ?? ''
    return name === '' || name === 'Unspecified' ? null : (INDUSTRY_RENAMES[name] ?? name)
  },
})
