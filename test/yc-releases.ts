/**
 * The releases of the yc run: what each changes in the definitions, and what a plan has to say of it.
 *
 * Each is made on the one before. Where `isLive` is false its backfill runs while nothing changes, so that counts can be
 * held against the plan to the last entity; the others run beside the changes of a date.
 */
import * as company from '../features/company.ts'
import { type AnyFeature, defineConfig, defineFeature, type ProjectConfig } from '../src/define/index.ts'
import { withFeature } from './support/release.ts'
import { ycConfig } from './yc-portal.ts'

export interface Release {
  readonly name: string
  readonly config: ProjectConfig
  readonly isLive: boolean
  readonly added?: readonly string[]
  readonly changed?: readonly string[]
  readonly readers?: readonly string[]
  readonly removed?: readonly string[]
  readonly models?: readonly string[]
  /** Entities that its compute refuses, in SQL over the entity's row, `c`. */
  readonly refuses?: string
  /** What is true of every other entity once it is through: `f` its features, `c` its row, $1 when the release began. */
  readonly holds: string
}

const APPROVE_ABOVE = 100

export const firstConfig: ProjectConfig = { ...ycConfig, backfill: { approveAbove: APPROVE_ABOVE } }

function withMore(config: ProjectConfig, more: AnyFeature): ProjectConfig {
  const { features, models } = config
  return { ...defineConfig({ features: [...features, more], models }), backfill: { approveAbove: APPROVE_ABOVE } }
}

const { columns } = company.company
const ofCompany = { entity: company.company, description: '' }

const nameLength = defineFeature({
  ...ofCompany,
  name: 'name_length',
  version: 1,
  type: 'integer',
  inputs: { name: columns.name },
  compute: ({ name }) => name?.length ?? 0,
})

const nameWords = defineFeature({
  ...ofCompany,
  name: 'name_words',
  version: 1,
  type: 'integer',
  inputs: { name: columns.name },
  compute: ({ name }) => name?.split(' ').length ?? 0,
})

const doubled = defineFeature({
  ...ofCompany,
  name: 'team_size',
  version: 2,
  type: 'number',
  inputs: { employees: columns.numberofemployees },
  compute: ({ employees }) => (employees === null ? null : employees * 2),
})

const TOO_MUCH = 'AI'
const wrongLength = defineFeature({
  ...ofCompany,
  name: 'one_liner_length',
  version: 2,
  type: 'integer',
  inputs: { oneLiner: columns.yc_one_liner },
  compute: ({ oneLiner }) => {
    if (oneLiner?.includes(TOO_MUCH)) throw new Error(`too much of ${TOO_MUCH}`)
    return -(oneLiner?.length ?? 0)
  },
})

const silentDays = { ...company.quietDays, name: 'silent_days' }

function releasesOf(): readonly Release[] {
  const added = withMore(firstConfig, nameLength)
  const changed = withFeature(added, 'team_size', doubled)
  const changedBack = withFeature(changed, 'team_size', { ...company.teamSize, version: 3 })
  const removedOld = withFeature(changedBack, 'quiet_days', null)
  const renamed = withMore(removedOld, silentDays)
  const removed = withFeature(renamed, 'silent_days', null)
  // The release before, to the letter, would be taken for a process that was left behind.
  const putBack = withMore(withMore(removed, silentDays), nameWords)
  const wrong = withFeature(putBack, 'one_liner_length', wrongLength)
  const right = withFeature(wrong, 'one_liner_length', { ...company.oneLinerLength, version: 3 })
  const sized = { changed: ['team_size'], readers: ['log_team_size'], models: ['growth', 'risk'] }
  return [
    {
      name: 'a feature is added',
      config: added,
      isLive: true,
      added: ['name_length'],
      // Octets of UTF-16 are not to be had in SQL: names of ASCII alone.
      holds: `c.name ~ '[^ -~]' or f.name_length = length(c.name)`,
    },
    {
      name: 'a feature with a reader and two models behind it changes',
      config: changed,
      isLive: false,
      ...sized,
      holds: 'f.team_size is not distinct from 2 * c.numberofemployees',
    },
    {
      name: 'it changes back beside live changes',
      config: changedBack,
      isLive: true,
      ...sized,
      holds: 'f.team_size is not distinct from c.numberofemployees',
    },
    {
      name: 'a feature is renamed',
      config: renamed,
      isLive: true,
      added: ['silent_days'],
      removed: ['quiet_days'],
      holds: 'f.silent_days is not distinct from f.quiet_days or f.source_at >= $1',
    },
    {
      name: 'it is removed',
      config: removed,
      isLive: true,
      removed: ['silent_days'],
      holds: 'f.silent_days is not null or f.source_at >= $1',
    },
    {
      name: 'it is put back, beside another that is new',
      config: putBack,
      isLive: true,
      added: ['name_words', 'silent_days'],
      holds: 'f.silent_days is not null and f.name_words > 0',
    },
    {
      name: 'a compute is made wrong: it throws for some, and is wrong for the others',
      config: wrong,
      isLive: false,
      changed: ['one_liner_length'],
      models: ['growth', 'risk'],
      refuses: `strpos(c.yc_one_liner, '${TOO_MUCH}') > 0`,
      holds: 'f.one_liner_length <= 0',
    },
    {
      name: 'it is made right again',
      config: right,
      isLive: true,
      changed: ['one_liner_length'],
      models: ['growth', 'risk'],
      holds: `c.yc_one_liner ~ '[^ -~]' or f.one_liner_length = coalesce(length(c.yc_one_liner), 0)`,
    },
  ]
}

export const releases: readonly Release[] = releasesOf()
export const lastConfig: ProjectConfig = releases.at(-1)?.config ?? firstConfig
