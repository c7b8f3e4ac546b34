/**
 * The journal over HTTP: `/webhooks-journal/{journal,journal-local,subscriptions}/2026-09/…`, the older
 * `/webhooks/v4/{journal,subscriptions}/…`, and the files themselves under addresses that expire.
 */
import { idOf, objectOf, stringsOf } from './body.ts'
import { type Call, NO_CONTENT, ok, type Reply } from './call.ts'
import { HubspotFailure, invalid, notFound } from './failure.ts'
import type { JournalFile, Subscription } from './journal.ts'

const EXPIRES_MS = 15 * 60_000
const KINDS = ['OBJECT', 'ASSOCIATION', 'GDPR_PRIVACY_DELETION'] as const

function entry({ portal, host }: Call, { offset }: JournalFile): object {
  const expiresMs = portal.clock.now() + EXPIRES_MS
  return {
    url: `http://${host}/journal-files/${offset}?expires=${expiresMs}`,
    expiresAt: new Date(expiresMs).toISOString(),
    currentOffset: offset,
  }
}

const entryOr204 = (call: Call, file: JournalFile | undefined): Reply =>
  file === undefined ? NO_CONTENT : ok(entry(call, file))

/** Files after `offset`. @throws HubspotFailure when it is not there (any more) */
function after(files: readonly JournalFile[], offset: string | undefined): readonly JournalFile[] {
  const at = files.findIndex((file) => file.offset === offset)
  if (at < 0) throw new HubspotFailure(404, 'OBJECT_NOT_FOUND', `No journal entry at offset ${offset}`)
  return files.slice(at + 1)
}

export function journal(call: Call, [what, offset, next, count]: readonly string[]): Reply {
  const files = call.journal.files()
  if (what === 'earliest') return entryOr204(call, files[0])
  if (what === 'latest') return entryOr204(call, files.at(-1))
  if (what === 'offset' && next === 'next') return entryOr204(call, after(files, offset)[0])
  if (what === 'batch' && next === 'next') {
    const page = after(files, offset).slice(0, Number(count))
    return page.length === 0 ? NO_CONTENT : ok({ status: 'COMPLETE', results: page.map((file) => entry(call, file)) })
  }
  throw notFound()
}

function subscriptionIn(body: unknown): Omit<Subscription, 'id'> {
  const { subscriptionType, portalId, objectTypeId, actions, properties } = objectOf(body, 'body')
  const kind = KINDS.find((known) => known === subscriptionType)
  if (kind === undefined || typeof objectTypeId !== 'string') {
    throw invalid('subscriptionType and objectTypeId are required')
  }
  return {
    subscriptionType: kind,
    portalId: idOf(portalId) ?? 0,
    objectTypeId,
    actions: stringsOf(actions, 'actions'),
    properties: stringsOf(properties, 'properties'),
  }
}

export function subscriptions(call: Call, [id]: readonly string[]): Reply {
  const { journal: kept, method } = call
  if (method === 'GET') return ok({ results: kept.subscriptions })
  if (method === 'POST') return ok(kept.subscribe(subscriptionIn(call.body)), 201)
  if (method === 'DELETE') {
    kept.unsubscribe(idOf(id) ?? 0)
    return NO_CONTENT
  }
  throw new HubspotFailure(405, 'VALIDATION_ERROR', 'Method not allowed')
}

/** Where the file lies, no token is asked for; the address alone lets one in, for a while. */
export function journalFile(call: Call, [offset]: readonly string[]): Reply {
  const file = call.journal.files().find((one) => one.offset === offset)
  if (!(Number(call.query.get('expires')) > call.portal.clock.now())) {
    throw new HubspotFailure(403, 'EXPIRED', 'Request has expired')
  }
  if (file === undefined) throw notFound()
  const publishedAt = new Date(file.publishedMs).toISOString()
  return ok({ offset: file.offset, publishedAt, journalEvents: file.events })
}
