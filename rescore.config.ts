/** The project that `npm start` runs: HubSpot in, web data where it is asked for (web-data.ts), features of a company, two models over them. */
import { hubspot } from './connectors/hubspot/index.ts'
import * as company from './features/company.ts'
import { growth } from './models/growth/model.ts'
import { risk } from './models/risk/model.ts'
import { defineConfig } from './src/define/index.ts'
import { webData } from './web-data.ts'

const { HUBSPOT_ACCESS_TOKEN, HUBSPOT_BASE_URL } = process.env

/** A number from the environment, or the connector's default. */
function numberFrom(name: string): number | undefined {
  const text = process.env[name] ?? ''
  if (text === '') return undefined
  const value = Number(text)
  if (!(value > 0)) throw new TypeError(`${name} must be a number above 0, got '${text}'.`)
  return value
}

const web = webData(process.env)

export default defineConfig({
  connectors: [
    hubspot({
      accessToken: HUBSPOT_ACCESS_TOKEN ?? '',
      baseUrl: HUBSPOT_BASE_URL,
      everyMs: numberFrom('HUBSPOT_POLL_MS'),
      callsPer10s: numberFrom('HUBSPOT_CALLS_PER_10S'),
      searchesPerSecond: numberFrom('HUBSPOT_SEARCHES_PER_SECOND'),
    }),
    ...web.connectors,
  ],
  features: [company, ...web.features],
  models: [growth, risk],
})
