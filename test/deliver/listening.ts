/** The endpoint for webhooks before a database and a simulated portal, on one clock, and calls as HubSpot signs them. */
import { createHash, createHmac } from 'node:crypto'
import { standardTypes } from '../../connectors/hubspot/schemas.ts'
import { hubspotWebhooks } from '../../connectors/hubspot/webhooks.ts'
import { startWebhookServer, type WebhookServer } from '../../src/connect/hooks/server.ts'
import { takeEvents } from '../../src/connect/hooks/take.ts'
import { type HubspotSetUp, setUpHubspot, T0 } from '../support/hubspot.ts'

const SECRET = 'client-secret-0123456789'
export const PUBLIC = 'https://hooks.example.com/hubspot'

export interface At extends AsyncDisposable {
  readonly server: WebhookServer
  readonly hubspot: HubspotSetUp
  /** Statements the endpoint sent to the database. */
  statements: number
  /** Events are committed, or refused to be. */
  failing: boolean
  awake(): Promise<readonly string[]>
}

export async function listening({ acceptV1 = false, maxHeldBytes = 16_777_216 } = {}): Promise<At> {
  const webhooks = { clientSecret: SECRET, publicUrl: PUBLIC, acceptV1 }
  const hubspot = await setUpHubspot({ webhooks })
  const receiver = hubspotWebhooks(webhooks, standardTypes(['companies', 'contacts', 'deals']))
  const at = { statements: 0, failing: false }
  const server = await startWebhookServer({
    port: 0,
    log: { info: () => undefined, warn: () => undefined },
    clock: hubspot.clock,
    maxHeldBytes,
    routes: [
      {
        connector: 'hubspot',
        receiver,
        take: (events) => {
          at.statements += 1
          if (at.failing) return Promise.reject(new Error('the database is away'))
          return takeEvents(hubspot.db.pool, 'hubspot', ['hubspot'], events)
        },
      },
    ],
  })
  return Object.assign(at, {
    server,
    hubspot,
    awake: async () => {
      const { rows } = await hubspot.db.query<{ name: string }>(
        `select stream || ' ' || key as name from rescore.wake_up order by 1`,
      )
      return rows.map(({ name }) => name)
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      await hubspot[Symbol.asyncDispose]()
    },
  })
}

export const changed = (objectId: number, more: object = {}) => ({
  eventId: objectId,
  subscriptionId: 7,
  portalId: 12_345_678,
  appId: 1,
  occurredAt: T0,
  subscriptionType: 'company.propertyChange',
  attemptNumber: 0,
  objectId,
  propertyName: 'name',
  propertyValue: `c${objectId}`,
  ...more,
})

export function v3(body: string, { url = PUBLIC, atMs = T0, secret = SECRET } = {}): Record<string, string> {
  const signature = createHmac('sha256', secret).update(`POST${url}${body}${atMs}`).digest('base64')
  return { 'x-hubspot-signature-v3': signature, 'x-hubspot-request-timestamp': String(atMs) }
}

export const v1 = (body: string) => ({
  'x-hubspot-signature': createHash('sha256').update(`${SECRET}${body}`).digest('hex'),
  'x-hubspot-signature-version': 'v1',
})

export async function post(
  { server }: At,
  body: string,
  headers: Record<string, string>,
  path = '/hubspot',
): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method: 'POST', body, headers })
  await answer.arrayBuffer()
  return answer.status
}
