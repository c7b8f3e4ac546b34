/**
 * What the history of a company's properties says: how often people edit the profile, and how its team moved.
 *
 * Invariant: what the publisher of the directory did in bulk (imports) is never counted as the company's own activity;
 * only the source type tells them apart. Without a clock "recent" is measured against the newest row of the same
 * history, so a value moves only when a row arrives.
 */
import { defineFeature } from '../src/define/index.ts'
import { company, history, TYPED_BY_A_PERSON } from './company-entity.ts'

const DAY_MS = 86_400_000
const TEAM_SIZE = 'numberofemployees'

/** @returns whole days from `from` to `to` (milliseconds since 1970); null when either is unknown */
export function daysBetween(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : Math.round((to - from) / DAY_MS)
}

/** @returns the number a history row holds, or null when it holds none */
export function historyNumber(value: string | null | undefined): number | null {
  if (value === null || value === undefined || value.trim() === '') return null
  const number = Number(value)
  return Number.isFinite(number) ? number : null
}

export const profileEdits = defineFeature({
  entity: company,
  name: 'profile_edits',
  version: 1,
  type: 'integer',
  description: 'Values that a person changed on the record, all properties together; imports do not count',
  inputs: { edits: history.count({ where: { source_type: TYPED_BY_A_PERSON } }) },
  compute: ({ edits }) => edits,
})

export const teamSizeEdits = defineFeature({
  entity: company,
  name: 'team_size_edits',
  version: 1,
  type: 'integer',
  description: 'Times a person changed the number of employees',
  inputs: { edits: history.count({ where: { source_type: TYPED_BY_A_PERSON, property: TEAM_SIZE } }) },
  compute: ({ edits }) => edits,
})

export const hiringChanges = defineFeature({
  entity: company,
  name: 'hiring_changes',
  version: 1,
  type: 'integer',
  description: 'Times a person switched hiring on or off',
  inputs: { edits: history.count({ where: { source_type: TYPED_BY_A_PERSON, property: 'yc_is_hiring' } }) },
  compute: ({ edits }) => edits,
})

const lastTwoTeamSizes = history.top(2, {
  columns: ['value', 'changed_at'],
  orderBy: 'changed_at',
  where: { property: TEAM_SIZE },
})

export const teamTrend = defineFeature({
  entity: company,
  name: 'team_trend',
  version: 1,
  type: 'number',
  description: 'Last change of the team’s size as a difference of ln(1 + employees); null before the first change',
  inputs: { sizes: lastTwoTeamSizes },
  equal: { abs: 1e-12 },
  compute: ({ sizes }) => {
    const now = historyNumber(sizes[0]?.value)
    const before = historyNumber(sizes[1]?.value)
    return now === null || before === null || now < 0 || before < 0 ? null : Math.log1p(now) - Math.log1p(before)
  },
})

export const daysBetweenTeamSizes = defineFeature({
  entity: company,
  name: 'days_between_team_sizes',
  version: 1,
  type: 'integer',
  description: 'Days between the last two statements of the team’s size; null before the second',
  inputs: { sizes: lastTwoTeamSizes },
  compute: ({ sizes }) => daysBetween(sizes[1]?.changed_at ?? null, sizes[0]?.changed_at ?? null),
})

const firstChange = history.min('changed_at')
const lastChange = history.max('changed_at')

export const historyDays = defineFeature({
  entity: company,
  name: 'history_days',
  version: 1,
  type: 'integer',
  description: 'Days from the first to the last row of the property history, whoever wrote it',
  inputs: { first: firstChange, last: lastChange },
  compute: ({ first, last }) => daysBetween(first, last),
})

export const quietDays = defineFeature({
  entity: company,
  name: 'quiet_days',
  version: 1,
  type: 'integer',
  description:
    'Days from the last edit by a person to the last row of the history; from its first row if nobody edited',
  inputs: {
    first: firstChange,
    last: lastChange,
    edited: history.max('changed_at', { where: { source_type: TYPED_BY_A_PERSON } }),
  },
  compute: ({ first, last, edited }) => daysBetween(edited ?? first, last),
})

export const teamSizeAgeDays = defineFeature({
  entity: company,
  name: 'team_size_age_days',
  version: 1,
  type: 'integer',
  description: 'Days from the last statement of the team’s size to the last row of the history',
  inputs: { stated: history.max('changed_at', { where: { property: TEAM_SIZE } }), last: lastChange },
  compute: ({ stated, last }) => daysBetween(stated, last),
})

export const editsPerYear = defineFeature({
  entity: company,
  name: 'edits_per_year',
  version: 1,
  type: 'number',
  description: 'Edits by people per year of history; histories shorter than a quarter count as a quarter',
  inputs: { edits: profileEdits, days: historyDays },
  equal: { rel: 1e-12 },
  compute: ({ edits, days }) => (edits === null || days === null ? null : (edits * 365) / Math.max(days, 91)),
})
