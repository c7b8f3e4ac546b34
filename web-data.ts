/**
 * Web data of the project: which sources are read, and the features that come with each. Off unless it is asked for, so
 * that the project runs without the network.
 *
 * `RESCORE_WEB_DATA=all`, or some of `brreg,rdap,tranco,github`; `GITHUB_TOKEN` for more than 60 calls an hour there. Each
 * source's address is `BRREG_BASE_URL`, `RDAP_BASE_URL`, `TRANCO_BASE_URL`, `GITHUB_BASE_URL` where it is not the usual one.
 */
import { brreg } from './connectors/brreg/index.ts'
import { domains } from './connectors/domains/index.ts'
import { github } from './connectors/github/index.ts'
import { companies } from './connectors/hubspot/tables.ts'
import { rdap } from './connectors/rdap/index.ts'
import { tranco } from './connectors/tranco/index.ts'
import * as domainFeatures from './features/web-domain.ts'
import * as githubFeatures from './features/web-github.ts'
import * as rankFeatures from './features/web-rank.ts'
import * as registerFeatures from './features/web-register.ts'
import type { Connector } from './src/define/index.ts'

type Environment = Readonly<Record<string, string | undefined>>

interface Source {
  connector(environment: Environment): Connector
  readonly features: Readonly<Record<string, unknown>>
}

const SOURCES: Readonly<Record<string, Source>> = {
  brreg: { connector: ({ BRREG_BASE_URL }) => brreg({ baseUrl: BRREG_BASE_URL }), features: registerFeatures },
  rdap: { connector: ({ RDAP_BASE_URL }) => rdap({ baseUrl: RDAP_BASE_URL }), features: domainFeatures },
  tranco: {
    connector: ({ TRANCO_BASE_URL, TRANCO_LENGTH }) =>
      tranco({ baseUrl: TRANCO_BASE_URL, length: TRANCO_LENGTH === undefined ? undefined : Number(TRANCO_LENGTH) }),
    features: rankFeatures,
  },
  github: {
    connector: ({ GITHUB_BASE_URL, GITHUB_TOKEN }) => github({ baseUrl: GITHUB_BASE_URL, token: GITHUB_TOKEN }),
    features: githubFeatures,
  },
}

/** @throws TypeError for a source there is none of */
export function webData(environment: Environment): {
  readonly connectors: readonly Connector[]
  readonly features: readonly Readonly<Record<string, unknown>>[]
} {
  const asked = (environment.RESCORE_WEB_DATA ?? '').split(',').map((name) => name.trim())
  const names = asked.includes('all') ? Object.keys(SOURCES) : asked.filter((name) => name !== '')
  const chosen = names.map((name) => {
    const source = Object.hasOwn(SOURCES, name) ? SOURCES[name] : undefined
    if (source !== undefined) return source
    throw new TypeError(`RESCORE_WEB_DATA: there is no '${name}'; there are all, ${Object.keys(SOURCES).join(', ')}.`)
  })
  if (chosen.length === 0) return { connectors: [], features: [] }
  return {
    connectors: [domains({ companies }), ...chosen.map(({ connector }) => connector(environment))],
    features: chosen.map(({ features }) => features),
  }
}
