import { describe, expect, it } from 'vitest'
import { growth } from '../models/growth/model.ts'
import { risk } from '../models/risk/model.ts'
import type { AnyFeature } from '../src/define/index.ts'
import * as company from './company.ts'

const DAY_MS = 86_400_000
const all: AnyFeature[] = Object.values(company).flatMap((value) =>
  typeof value === 'object' && 'compute' in value ? [value] : [],
)

describe('a rename at the source moves no feature', () => {
  it.each([
    ['W12', 'Winter 2012', 2012],
    ['S21', 'Summer 2021', 2021.5],
    ['F24', 'Fall 2024', 2024.75],
    ['X25', 'Spring 2025', 2025.25],
  ])('batch %s is %s', (before, after, year) => {
    expect(company.batchYear.compute({ batch: before })).toBe(year)
    expect(company.batchYear.compute({ batch: after })).toBe(year)
  })

  it.each([
    ['B2B Software and Services', 'B2B'],
    ['Financial Technology', 'Fintech'],
  ])('industry %s is %s', (before, after) => {
    expect(company.industryGroup.compute({ industry: before })).toBe(after)
    expect(company.industryGroup.compute({ industry: after })).toBe(after)
  })

  it('counts a misspelt tag as its correction', () => {
    expect(company.tagAi.compute({ tags: 'SaaS;Artifical Intelligence' })).toBe(true)
    expect(company.tagAi.compute({ tags: 'SaaS; artificial intelligence' })).toBe(true)
    expect(company.tagAi.compute({ tags: 'SaaS;Email' })).toBe(false)
  })
})

describe('unknown values', () => {
  it.each(['Unspecified', '', null, '12', 'Monsoon 2012', 'W123'])('batch %s has no year', (batch) => {
    expect(company.batchYear.compute({ batch })).toBeNull()
  })

  it('gives null for an unknown team, and what emptiness means for texts, lists and flags', () => {
    expect(company.teamSize.compute({ employees: null })).toBeNull()
    expect(company.logTeamSize.compute({ size: null })).toBeNull()
    expect(company.logTeamSize.compute({ size: -3 })).toBeNull()
    expect(company.descriptionLength.compute({ description: null })).toBe(0)
    expect(company.tagCount.compute({ tags: ' ; ;' })).toBe(0)
    expect(company.isHiring.compute({ hiring: null })).toBe(false)
    expect(company.noWebsite.compute({ website: ' ' })).toBe(true)
    expect(company.region.compute({ regions: null })).toBe('Other')
  })

  it('divides by nothing without an error', () => {
    expect(company.winRate.compute({ won: 0, open: 2, all: 2 })).toBeNull()
    expect(company.winRate.compute({ won: 1, open: 2, all: 4 })).toBe(0.5)
    expect(company.seniorShare.compute({ senior: 0, all: 0 })).toBeNull()
    expect(company.seniorShare.compute({ senior: 1, all: 4 })).toBe(0.25)
  })
})

describe('activity', () => {
  it('takes the trend from the last two sizes', () => {
    const sizes = [
      { value: '19', changed_at: 40 * DAY_MS },
      { value: '9', changed_at: 10 * DAY_MS },
    ]
    expect(company.teamTrend.compute({ sizes })).toBeCloseTo(Math.LN2, 12)
    expect(company.daysBetweenTeamSizes.compute({ sizes })).toBe(30)
    expect(company.teamTrend.compute({ sizes: sizes.slice(0, 1) })).toBeNull()
    expect(company.teamTrend.compute({ sizes: [{ value: 'many', changed_at: 0 }, ...sizes] })).toBeNull()
  })

  it('counts only what a person typed', () => {
    for (const feature of [company.profileEdits, company.teamSizeEdits, company.hiringChanges]) {
      expect(feature.inputs).toMatchObject({ edits: { where: { source_type: 'CRM_UI' } } })
    }
  })

  it('measures quiet from the first row when nobody edited, and rates short histories as a quarter', () => {
    expect(company.quietDays.compute({ first: 0, last: 5 * DAY_MS, edited: null })).toBe(5)
    expect(company.quietDays.compute({ first: 0, last: 5 * DAY_MS, edited: 3 * DAY_MS })).toBe(2)
    expect(company.quietDays.compute({ first: null, last: null, edited: null })).toBeNull()
    expect(company.editsPerYear.compute({ edits: 1, days: 0 })).toBeCloseTo(365 / 91, 12)
  })
})

describe('the set of features', () => {
  it('gives a finite value or null, and the same one twice, when every input is null or empty', () => {
    for (const feature of all) {
      const inputs = Object.fromEntries(
        Object.entries(feature.inputs).map(([alias, input]) => {
          if (input.input !== 'aggregate') return [alias, null]
          const { op } = input.operation
          return [alias, op === 'top' ? [] : op === 'count' || op === 'sum' ? 0 : null]
        }),
      )
      const value = feature.compute(inputs)
      expect(typeof value !== 'number' || Number.isFinite(value), feature.name).toBe(true)
      expect(feature.compute(inputs)).toStrictEqual(value)
    }
  })

  it('has unique names, and the models read only features of the profile and its history', () => {
    const names = all.map(({ name }) => name)
    expect(names.length).toBeGreaterThanOrEqual(35)
    expect(new Set(names).size).toBe(names.length)
    const read = (feature: AnyFeature): string[] =>
      Object.values(feature.inputs).flatMap((input) =>
        input.input === 'feature'
          ? read(input)
          : input.input === 'column'
            ? [input.table.name]
            : [input.input === 'aggregate' ? (input.path.at(-1)?.table.name ?? '') : input.input],
      )
    const tables = new Set([...growth.features, ...risk.features].flatMap(read))
    expect([...tables].toSorted()).toStrictEqual(['companies', 'company_property_history'])
  })
})
