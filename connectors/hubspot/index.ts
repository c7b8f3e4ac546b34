/**
 * The HubSpot connector: companies, contacts, deals, tickets and custom objects, their associations and labels, the history of
 * chosen properties, owners and pipelines.
 *
 * ```ts
 * hubspot({ accessToken: process.env.HUBSPOT_ACCESS_TOKEN ?? '' })
 * ```
 * One client per call of `hubspot`, because the official client keeps its settings per process.
 */
import { type Connector, defineConnector, type Stream } from '../../src/define/index.ts'
import { hubspotApi } from './api.ts'
import { associationStream } from './associations.ts'
import { calculatedStream } from './calculated.ts'
import { journalStream } from './journal.ts'
import { journalHttp, latestFile } from './journal-api.ts'
import { HUBSPOT_API_VERSION, HUBSPOT_CREDENTIAL, hubspotBudgets, JOURNAL_BUDGET } from './limits.ts'
import { objectStream } from './object-stream.ts'
import type { ObjectType } from './object-type.ts'
import { type HubspotOptions, objectTypes, pipelineTypes } from './options.ts'
import { labelStream, ownerStream, pipelineStream, readOwners, readPipelines } from './portal-streams.ts'
import { checkObject, readyOf } from './ready.ts'
import { PortalSchemas } from './schemas.ts'
import { archivedStream, sweepStream } from './sweep.ts'
import { hubspotWebhooks } from './webhooks.ts'

export function hubspot(options: HubspotOptions): Connector {
  const { accessToken, baseUrl = 'https://api.hubapi.com', apiVersion = HUBSPOT_API_VERSION } = options
  const { lagMs = 60_000, lookbackMs = 600_000, everyMs = 2_000, sweepMayRemove: mayRemove = 0.2 } = options
  const { associationsEveryMs = 600_000, archivedEveryMs = 120_000, sweepEveryMs = 86_400_000 } = options
  const { calculatedEveryMs = 3_600_000, portalEveryMs = 600_000 } = options
  const api = hubspotApi({ accessToken, baseUrl, version: apiVersion })
  const objects = objectTypes(options)
  const types = objects.map(({ type }) => type)
  const schemas = new PortalSchemas(api, types)

  function streamsOf(object: ObjectType): readonly Stream[] {
    const ready = readyOf(api, schemas, object)
    return [
      objectStream({ api, object, lagMs, lookbackMs, everyMs, mayRemove, ready }),
      ...(object.edges.length === 0 ? [] : [associationStream(api, object, associationsEveryMs, ready)]),
      calculatedStream({ api, object, everyMs: calculatedEveryMs, ready }),
      archivedStream({ api, object, everyMs: archivedEveryMs, ready }),
      sweepStream({ api, object, everyMs: sweepEveryMs, mayRemove, ready }),
    ]
  }

  const pairs = objects.flatMap(({ type, edges }) => edges.map(({ to }) => [type, to] as const))
  const piped = pipelineTypes(options, objects)
  const { journal } = options
  return defineConnector({
    name: 'hubspot',
    credential: HUBSPOT_CREDENTIAL,
    secrets: [accessToken],
    budgets: [...hubspotBudgets(options), ...(journal === undefined ? [] : [JOURNAL_BUDGET])],
    http: journal === undefined ? undefined : journalHttp(journal, baseUrl, api.paths, types),
    streams: [
      ...(journal === undefined ? [] : [journalStream({ api, journal, objects, schemas, mayRemove })]),
      ...objects.flatMap(streamsOf),
      ...(pairs.length === 0 ? [] : [labelStream({ api, everyMs: portalEveryMs, pairs })]),
      ...(options.owners === true ? [ownerStream({ api, everyMs: portalEveryMs })] : []),
      ...(piped.length === 0 ? [] : [pipelineStream({ api, everyMs: portalEveryMs, types: piped })]),
    ],
    webhooks: options.webhooks === undefined ? undefined : hubspotWebhooks(options.webhooks, schemas),
    async check(context) {
      const found = await Promise.all(objects.map((object) => checkObject(api, schemas, context, object)))
      // Asked for once, so that a scope that is missing shows before anything is read.
      if (options.owners === true) await readOwners(api, context, false)
      for (const type of piped) await readPipelines(api, context, type)
      if (journal !== undefined) await latestFile(context, api.paths)
      return found.flatMap(({ problems }) => problems)
    },
  })
}

export type { HubspotJournal } from './journal-api.ts'
export { HUBSPOT_API_VERSION } from './limits.ts'
export { DEFAULT_HISTORY, type HubspotAssociation, type HubspotOptions } from './options.ts'
export * from './tables.ts'
export { type HubspotDeliverySpec, hubspotDelivery } from './write-back.ts'
