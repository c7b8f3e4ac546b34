/**
 * The 24 features of the batch recipe (recipes/batch/feat.py and batch_job.py), declared.
 *
 * Invariant: the same values as the batch job computes, held against its probabilities in every run that has both.
 * One is written in other words: a deal's probability follows from its stage, so the weighted sum of open deals is three
 * filtered sums.
 */
import {
  type AnyFeature,
  type AnyInput,
  defineEntity,
  defineFeature,
  type FeatureSpec,
  type FeatureTypes,
} from '../../src/define/index.ts'
import { INDUSTRIES, REGIONS } from '../crm-data.ts'
import { companies, contacts, deals } from './tables.ts'

const NOW_MS = Date.parse('2025-07-15T00:00:00Z')
const NOW_YEAR = 2025.54
const DAY_MS = 86_400_000
const RECENT_MS = 180 * DAY_MS

export interface Variant {
  /** Version of every feature: a higher one makes all stored values stale. */
  readonly version: number
  /** Added to every number; an odd one inverts every boolean. 0: the recipe's values. */
  readonly shift: number
  /** With a feature that ages, which the model does not read. */
  readonly isAging?: boolean
}

export const company = defineEntity({ name: 'company', table: companies })

/** Code points, as PostgreSQL's length() counts. */
const lengthOf = (text: string | null) => (text === null ? 0 : [...text].length)
const countOf = (value: unknown) => (Array.isArray(value) ? value.length : 0)
const daysSince = (ms: number | null) => (ms === null ? null : (NOW_MS - ms) / DAY_MS)

/** Deals of the last week. */
export const recentDeals = defineFeature({
  entity: company,
  name: 'recent_deals',
  version: 1,
  type: 'integer',
  description: 'Deals of the last week',
  inputs: { n: company.many(deals, { foreignKey: 'company_id' }).window('7d', { on: 'created_at' }).count() },
  compute: ({ n }) => n,
})

/** Every feature at the given version; in the order the model was trained with. */
export function companyFeatures({ version, shift }: Variant): readonly AnyFeature[] {
  const shifted = (value: number | boolean | null): number | boolean | null => {
    if (value === null || shift === 0) return value
    return typeof value === 'number' ? value + shift : shift % 2 === 0 ? value : !value
  }
  const feature = <const I extends Readonly<Record<string, AnyInput>>, T extends 'number' | 'integer' | 'boolean'>(
    name: string,
    type: T,
    inputs: I,
    compute: FeatureSpec<I, T>['compute'],
  ): AnyFeature => {
    const description = `${name} of the batch recipe`
    const declared = defineFeature<I, T>({ entity: company, name, version, type, description, inputs, compute })
    return shift === 0 ? declared : { ...declared, compute: (given) => shifted(plain(declared.compute(given))) }
  }
  const own = company.columns
  const people = company.many(contacts, { foreignKey: 'company_id' })
  const sales = company.many(deals, { foreignKey: 'company_id' })
  const won = sales.count({ where: { stage: 'won' } })
  const sumAt = (stage: string) => sales.sum('amount', { where: { stage } })
  return [
    feature('age', 'number', { year: own.batch_year }, ({ year }) => (year === null ? null : NOW_YEAR - year)),
    feature('team_size', 'integer', { size: own.team_size }, ({ size }) => size),
    feature('is_hiring', 'boolean', { hiring: own.is_hiring }, ({ hiring }) => hiring),
    feature('nonprofit', 'boolean', { nonprofit: own.nonprofit }, ({ nonprofit }) => nonprofit),
    feature('growth', 'boolean', { stage: own.stage }, ({ stage }) => stage === 'Growth'),
    feature('desc_len', 'integer', { text: own.long_description }, ({ text }) => lengthOf(text)),
    feature('one_len', 'integer', { text: own.one_liner }, ({ text }) => lengthOf(text)),
    feature('n_tags', 'integer', { tags: own.tags }, ({ tags }) => countOf(tags)),
    feature('n_regions', 'integer', { regions: own.regions }, ({ regions }) => countOf(regions)),
    feature('no_site', 'boolean', { site: own.website }, ({ site }) => site === null || site === ''),
    feature('n_contacts', 'integer', { n: people.count() }, ({ n }) => n),
    feature('n_senior', 'integer', { n: people.count({ where: { seniority: { gte: 4 } } }) }, ({ n }) => n),
    feature(
      'contacts_180d',
      'integer',
      { n: people.count({ where: { last_activity_at: { gte: NOW_MS - RECENT_MS } } }) },
      ({ n }) => n,
    ),
    feature('days_since_contact', 'number', { last: people.max('last_activity_at') }, ({ last }) => daysSince(last)),
    feature('n_deals', 'integer', { n: sales.count() }, ({ n }) => n),
    feature('n_open', 'integer', { n: sales.count({ where: { stage: { notIn: ['won', 'lost'] } } }) }, ({ n }) => n),
    feature('sum_amount', 'number', { sum: sales.sum('amount') }, ({ sum }) => sum),
    feature('won_amount', 'number', { sum: sumAt('won') }, ({ sum }) => sum),
    feature('max_amount', 'number', { max: sales.max('amount') }, ({ max }) => max),
    feature('win_rate', 'number', { won, lost: sales.count({ where: { stage: 'lost' } }) }, ({ won, lost }) =>
      won + lost === 0 ? null : won / (won + lost),
    ),
    feature(
      'open_weighted',
      'number',
      { open: sumAt('open'), proposal: sumAt('proposal'), negotiation: sumAt('negotiation') },
      ({ open, proposal, negotiation }) => 0.2 * open + 0.4 * proposal + 0.7 * negotiation,
    ),
    feature('days_since_deal', 'number', { last: sales.max('created_at') }, ({ last }) => daysSince(last)),
    feature('industry', 'integer', { industry: own.industry }, ({ industry }) => codeOf(INDUSTRIES, industry)),
    feature('region', 'integer', { region: own.region }, ({ region }) => codeOf(REGIONS, region)),
  ]
}

/** -1 for a value the model was not trained with, as the batch job gives it. */
function codeOf(values: readonly string[], value: string | null): number {
  return value === null ? -1 : values.indexOf(value)
}

/** None of these features is text. */
function plain(value: FeatureTypes[keyof FeatureTypes] | null): number | boolean | null {
  return typeof value === 'string' ? null : value
}
