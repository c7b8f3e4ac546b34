/**
 * Features of a company's own row that are numbers and flags: size, website, batch, stage.
 *
 * Invariant: each function is total. A null, an empty or an unreadable value gives null ("unknown") or the value that
 * emptiness means (no tags: 0 tags), never an error; a value renamed at the source gives the same feature value.
 * The Python twin of these functions is models/training/frame.py: a change here is a new `version` and a new training.
 */
import { defineFeature } from '../src/define/index.ts'
import { company } from './company-entity.ts'

const columns = company.columns

export const teamSize = defineFeature({
  entity: company,
  name: 'team_size',
  version: 1,
  type: 'number',
  description: 'Employees, as the company states it',
  inputs: { employees: columns.numberofemployees },
  compute: ({ employees }) => employees,
})

export const logTeamSize = defineFeature({
  entity: company,
  name: 'log_team_size',
  version: 1,
  type: 'number',
  description: 'ln(1 + employees): ten more people mean more to a team of five than to one of five hundred',
  inputs: { size: teamSize },
  equal: { rel: 1e-12 },
  compute: ({ size }) => (size === null || size < 0 ? null : Math.log1p(size)),
})

export const isHiring = defineFeature({
  entity: company,
  name: 'is_hiring',
  version: 1,
  type: 'boolean',
  description: 'Has said that it is hiring',
  inputs: { hiring: columns.yc_is_hiring },
  compute: ({ hiring }) => hiring === true,
})

export const topCompany = defineFeature({
  entity: company,
  name: 'top_company',
  version: 1,
  type: 'boolean',
  description: 'On the directory’s list of top companies',
  inputs: { top: columns.yc_top_company },
  compute: ({ top }) => top === true,
})

export const nonprofit = defineFeature({
  entity: company,
  name: 'nonprofit',
  version: 1,
  type: 'boolean',
  description: 'Is a non-profit',
  inputs: { nonprofit: columns.yc_nonprofit },
  compute: ({ nonprofit }) => nonprofit === true,
})

export const noWebsite = defineFeature({
  entity: company,
  name: 'no_website',
  version: 1,
  type: 'boolean',
  description: 'States no website',
  inputs: { website: columns.website },
  compute: ({ website }) => website === null || website.trim() === '',
})

export const growthStage = defineFeature({
  entity: company,
  name: 'growth_stage',
  version: 1,
  type: 'boolean',
  description: 'The directory files it under growth rather than early stage; the field changed its meaning in 2024-10',
  inputs: { stage: columns.yc_stage },
  compute: ({ stage }) => stage === 'Growth',
})

/** Start of each season's batch as a fraction of the year; 'X' is how the directory wrote spring. */
const SEASON_START: Readonly<Record<string, number>> = {
  w: 0,
  winter: 0,
  x: 3 / 12,
  spring: 3 / 12,
  ik: 6 / 12,
  s: 6 / 12,
  summer: 6 / 12,
  f: 9 / 12,
  fall: 9 / 12,
}

/** @returns the decimal year of 'W12' and 'Winter 2012' alike; null for anything else */
export function batchYearOf(batch: string | null): number | null {
  const [, season, digits] = /^([a-z]+) ?(\d{4}|\d{2})$/i.exec(batch?.trim() ?? '') ?? []
  if (season === undefined || digits === undefined) return null
  const start = SEASON_START[season.toLowerCase()]
  if (start === undefined) return null
  return (digits.length === 2 ? 2000 : 0) + Number(digits) + start
}

export const batchYear = defineFeature({
  entity: company,
  name: 'batch_year',
  version: 1,
  type: 'number',
  description: 'When its batch began, as a decimal year',
  inputs: { batch: columns.yc_batch },
  compute: ({ batch }) => batchYearOf(batch),
})
