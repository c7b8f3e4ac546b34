/**
 * The repository's own project on a simulated portal, without the allowance of calls that the real HubSpot imposes: with
 * it a first load is as fast as the allowance, and nothing of ours would be measured.
 */
import { hubspot } from '../../connectors/hubspot/index.ts'
import * as company from '../../features/company.ts'
import { growth } from '../../models/growth/model.ts'
import { risk } from '../../models/risk/model.ts'
import { defineConfig, type ProjectConfig } from '../../src/define/index.ts'

export interface Portal {
  readonly url: string
  readonly token: string
}

export function hubspotProject({ url, token }: Portal): ProjectConfig {
  const connector = hubspot({
    accessToken: token,
    baseUrl: url,
    everyMs: 500,
    callsPer10s: 1_000_000,
    searchesPerSecond: 100_000,
  })
  return defineConfig({ connectors: [connector], features: [company], models: [growth, risk] })
}
