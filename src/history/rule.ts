/** How long the past is kept, out of `history` in rescore.config.ts. Pure. */
import type { HistorySpec } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import type { Instant } from './instant.ts'
import { beginOf, monthOf } from './months.ts'

/** Whole months before the present one; null: for ever. */
type Months = number | null

export interface Rule {
  readonly every: Months
  readonly byEntity: ReadonlyMap<string, Months>
}

const KEEP = /^(\d{1,4}) (month|year)s?$/

function monthsOf(where: string, keep: string): Months {
  if (keep === 'forever') return null
  const [, count, unit] = KEEP.exec(keep) ?? []
  const months = Number(count) * (unit === 'year' ? 12 : 1)
  if (months >= 1) return months
  throw new RescoreError({
    code: 'CONFIG_HISTORY',
    fate: 'stop',
    message: `${where}: '${keep}' does not say how long.`,
    mend: "Write '24 months', '2 years' or 'forever'; one month is the least.",
  })
}

/** @throws RescoreError CONFIG_HISTORY for a time that is none, or an entity that is not there */
export function ruleOf(spec: HistorySpec | undefined, entities: Iterable<string>): Rule {
  const known = new Set(entities)
  const byEntity = Object.entries(spec?.entities ?? {}).map(([entity, keep]): [string, Months] => {
    if (known.has(entity)) return [entity, monthsOf(`history.entities.${entity}`, keep)]
    throw new RescoreError({
      code: 'CONFIG_HISTORY',
      fate: 'stop',
      message: `history.entities names '${entity}'; there are ${[...known].join(', ')}.`,
      mend: 'Name an entity of the project, or take it out.',
    })
  })
  return { every: monthsOf('history.keep', spec?.keep ?? 'forever'), byEntity: new Map(byEntity) }
}

export const isForEver = ({ every, byEntity }: Rule) =>
  every === null && [...byEntity.values()].every((months) => months === null)

/** The first moment that is kept of the entity at `now`; null: all of its past is. */
export function cutOf({ every, byEntity }: Rule, entity: string, now: Instant): Instant | null {
  const own = byEntity.get(entity)
  const months = own === undefined ? every : own
  return months === null ? null : beginOf(monthOf(now) - months)
}
