/**
 * HubSpot's webhooks journal over the wire: subscriptions, the next file after a position, and what stands in it.
 *
 * Invariants: called with the app's own token (client credentials) and its own allowance; a file is fetched from the
 * address HubSpot gives, which the runtime holds to https and to public addresses, and is never logged with the signature
 * it carries.
 */
import { z } from 'zod'
import { type HttpSettings, type SourceContext, SourceError } from '../../src/define/index.ts'
import { JOURNAL_BUDGET } from './limits.ts'
import type { HubspotPaths } from './paths.ts'
import { checked } from './records.ts'

export interface HubspotJournal {
  /** Of an app that is installed in the portal. */
  readonly clientId: string
  readonly clientSecret: string
  /** The journal holds the events of every portal the app is installed in. */
  readonly portalId: number | string
  /** Pause between looks; default 5 s. */
  readonly everyMs?: number | undefined
}

const SCOPES = ['developer.webhooks_journal.read', 'developer.webhooks_journal.subscriptions.read']
const MANAGING = 'developer.webhooks_journal.subscriptions.write'
/** Tickets have a scope of their own name; custom objects share one. */
const scopeOf = (type: string): string => {
  if (type === 'tickets') return 'tickets'
  return `crm.objects.${['companies', 'contacts', 'deals'].includes(type) ? type : 'custom'}.read`
}

/** How the journal is called; the portal's own token is for everything else. */
export function journalHttp(
  { clientId, clientSecret }: HubspotJournal,
  baseUrl: string,
  paths: HubspotPaths,
  types: readonly string[],
): HttpSettings {
  const scope = [...new Set([...SCOPES, MANAGING, ...types.map(scopeOf)])].join(' ')
  // Files lie elsewhere; those of a portal on this machine too.
  const allow = baseUrl.startsWith('http:') ? { allow: [new URL(baseUrl).hostname] } : {}
  return { baseUrl, ...allow, auth: { kind: 'oauth', tokenUrl: paths.token, clientId, clientSecret, scope } }
}

const id = z.union([z.number(), z.string()]).transform(String)
const entry = z.object({ url: z.string(), currentOffset: z.string() })
const event = z.object({
  portalId: id.optional(),
  objectTypeId: z.string().optional(),
  objectId: id.optional(),
  primaryObjectId: id.optional(),
  mergedObjectIds: z.array(id).nullish(),
  newObjectId: id.optional(),
  associatedObjectTypeId: z.string().nullish(),
  associatedObjectId: id.nullish(),
})
const file = z.object({ journalEvents: z.array(event) })
export type JournalEvent = z.infer<typeof event>

export interface JournalFile {
  readonly offset: string
  readonly url: string
}

const { key: budget } = JOURNAL_BUDGET

/** null: nothing is there yet. */
export async function latestFile(context: SourceContext, paths: HubspotPaths): Promise<JournalFile | null> {
  return fileOf(await context.http({ path: `${paths.journal}/latest`, budget }))
}

/** @param offset null: from the oldest there is. @returns 'gap' when HubSpot no longer knows the position */
export async function nextFile(
  context: SourceContext,
  paths: HubspotPaths,
  offset: string | null,
): Promise<JournalFile | null | 'gap'> {
  const path = offset === null ? 'earliest' : `offset/${encodeURIComponent(offset)}/next`
  const answer = await context.http({ path: `${paths.journal}/${path}`, budget, accept: [400, 404, 410] })
  return answer.status >= 400 ? 'gap' : fileOf(answer)
}

function fileOf({ status, body }: { readonly status: number; readonly body: unknown }): JournalFile | null {
  if (status === 204 || body === undefined) return null
  const { url, currentOffset } = checked(entry, body, 'The journal')
  return { url, offset: currentOffset }
}

/** @throws SourceError transient when the address has expired: it is asked for anew */
export async function readFile(context: SourceContext, { url }: JournalFile): Promise<readonly JournalEvent[]> {
  const answer = await context.http({ path: url, budget, accept: [403, 404] })
  if (answer.status < 400) return checked(file, answer.body, 'A journal file').journalEvents
  throw new SourceError({
    kind: 'transient',
    code: 'HUBSPOT_JOURNAL_EXPIRED',
    message: 'The address of a journal file has expired.',
    mend: 'It is asked for anew by itself.',
  })
}

const subscription = z.object({
  subscriptionType: z.string(),
  portalId: id.optional(),
  objectTypeId: z.string().nullish(),
  actions: z.array(z.string()),
  properties: z.array(z.string()).nullish(),
})
const subscriptionList = z.object({ results: z.array(subscription) })

export interface Subscribed {
  readonly objectTypeId: string
  readonly properties: readonly string[]
}

const OBJECT_ACTIONS = ['CREATE', 'UPDATE', 'DELETE', 'MERGE', 'RESTORE']
const EDGE_ACTIONS = ['ASSOCIATION_ADDED', 'ASSOCIATION_REMOVED']
const CONTACTS = '0-1'

interface Wanted extends Subscribed {
  readonly subscriptionType: string
  readonly actions: readonly string[]
}

function wantedFor({ objectTypeId, properties }: Subscribed): readonly Wanted[] {
  const wanted: Wanted[] = [
    { subscriptionType: 'OBJECT', actions: OBJECT_ACTIONS, objectTypeId, properties },
    { subscriptionType: 'ASSOCIATION', actions: EDGE_ACTIONS, objectTypeId, properties: [] },
  ]
  if (objectTypeId !== CONTACTS) return wanted
  return [
    ...wanted,
    { subscriptionType: 'GDPR_PRIVACY_DELETION', actions: ['GDPR_DELETE'], objectTypeId, properties: [] },
  ]
}

/** Makes the subscriptions that are missing; those of others are left alone. @returns how many were made */
export async function ensureSubscriptions(
  context: SourceContext,
  paths: HubspotPaths,
  portalId: string,
  types: readonly Subscribed[],
): Promise<number> {
  const answer = await context.http({ path: paths.subscriptions, budget })
  const { results } = checked(subscriptionList, answer.body, 'The list of subscriptions')
  const holds = (has: readonly string[], wants: readonly string[]) => wants.every((one) => has.includes(one))
  let made = 0
  for (const wanted of types.flatMap(wantedFor)) {
    const found = results.some(
      (one) =>
        one.subscriptionType === wanted.subscriptionType &&
        one.objectTypeId === wanted.objectTypeId &&
        one.portalId === portalId &&
        holds(one.actions, wanted.actions) &&
        (one.properties === null || one.properties === undefined || holds(one.properties, wanted.properties)),
    )
    if (found) continue
    const body = { ...wanted, portalId: Number(portalId), objectIds: [] }
    // Somebody may have made it meanwhile.
    await context.http({ method: 'POST', path: paths.subscriptions, body, budget, accept: [409] })
    made += 1
  }
  return made
}
