import { describe, expect, it } from 'vitest'
import { growth } from '../models/growth/model.ts'
import { risk } from '../models/risk/model.ts'
import { defineConfig } from '../src/define/index.ts'
import { compileGraph } from '../src/graph/compile.ts'
import { webData } from '../web-data.ts'
import * as company from './company.ts'
import * as domain from './web-domain.ts'
import * as github from './web-github.ts'
import * as rank from './web-rank.ts'
import * as register from './web-register.ts'

const DAY_MS = 86_400_000

describe('features of web data', () => {
  it('say "unknown" of a company no source knows', () => {
    expect(domain.domainYear.compute({ at: null })).toBeNull()
    expect(domain.domainAgeAtEntryDays.compute({ at: null, entered: 0 })).toBeNull()
    expect(domain.domainUnregistered.compute({ absent: 0 })).toBe(false)
    expect(rank.trafficRank.compute({ rank: null })).toBeNull()
    expect(rank.logTrafficRank.compute({ rank: null })).toBeNull()
    expect(register.registerEmployees.compute({ employees: null })).toBeNull()
    expect(register.registerFounded.compute({ founded: null })).toBeNull()
    expect(register.registerInsolvent.compute({ bankrupt: 0, windingUp: 0 })).toBe(false)
    expect(github.githubLogStars.compute({ stars: 0 })).toBe(0)
    expect(github.githubActiveDays.compute({ pushed: null, entered: 0 })).toBeNull()
  })

  it('measure time as a difference between what two columns say', () => {
    expect(domain.domainYear.compute({ at: Date.UTC(2014, 6, 2, 12) })).toBeCloseTo(2014.5, 2)
    expect(domain.domainAgeAtEntryDays.compute({ at: 2 * DAY_MS, entered: 12 * DAY_MS })).toBe(10)
    expect(github.githubActiveDays.compute({ pushed: 2 * DAY_MS, entered: 12 * DAY_MS })).toBe(-10)
    expect(register.registerFounded.compute({ founded: '1972-06-14' })).toBe(1972)
    expect(register.registerInsolvent.compute({ bankrupt: 0, windingUp: 2 })).toBe(true)
    expect(rank.logTrafficRank.compute({ rank: 1 })).toBe(0)
  })
})

describe('web data of the project', () => {
  const namesOf = (asked: string | undefined) => webData({ RESCORE_WEB_DATA: asked }).connectors.map(({ name }) => name)

  it('is off unless it is asked for, and only what is asked for is read', () => {
    expect([namesOf(undefined), namesOf('')]).toEqual([[], []])
    expect(namesOf('rdap, github')).toEqual(['domains', 'rdap', 'github'])
    expect(namesOf('all')).toEqual(['domains', 'brreg', 'rdap', 'tranco', 'github'])
    expect(() => namesOf('rdap,whois')).toThrow(/no 'whois'/)
  })

  it('compiles beside the features of the CRM, and every table it reads is filled by a connector', () => {
    const web = webData({ RESCORE_WEB_DATA: 'all' })
    const config = defineConfig({
      connectors: web.connectors,
      features: [company, ...web.features],
      models: [growth, risk],
    })
    const filled = new Set(
      config.connectors.flatMap(({ streams }) => streams.flatMap(({ tables }) => tables.map(({ id }) => id))),
    )
    const read = compileGraph(config).tables.map(({ id }) => id)
    expect(read.filter((id) => !id.startsWith('hubspot.') && !filled.has(id))).toEqual([])
    expect(read.filter((id) => !id.startsWith('hubspot.')).length).toBe(8)
  })
})
