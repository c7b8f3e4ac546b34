/** The project that `npm start` runs: HubSpot in, features of a company, two models over them. */
import { hubspot } from './connectors/hubspot/index.ts'
import * as company from './features/company.ts'
import { growth } from './models/growth/model.ts'
import { risk } from './models/risk/model.ts'
import { defineConfig } from './src/define/index.ts'

const { HUBSPOT_ACCESS_TOKEN, HUBSPOT_BASE_URL, HUBSPOT_POLL_MS } = process.env

export default defineConfig({
  connectors: [
    hubspot({
      accessToken: HUBSPOT_ACCESS_TOKEN ?? '',
      baseUrl: HUBSPOT_BASE_URL,
      everyMs: HUBSPOT_POLL_MS === undefined ? undefined : Number(HUBSPOT_POLL_MS),
    }),
  ],
  features: [company],
  models: [growth, risk],
})
