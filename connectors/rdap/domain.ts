/**
 * What is asked of a registry, and what its answer says of a domain (RFC 9083). Pure.
 * Invariant: names, addresses and numbers of persons, which many answers hold, are never taken over.
 */
import { z } from 'zod'
import type { SourceRow } from '../../src/define/index.ts'

const answer = z.looseObject({
  ldhName: z.string().optional(),
  events: z.array(z.looseObject({ eventAction: z.string(), eventDate: z.string() })).catch([]),
  status: z.array(z.string()).catch([]),
  entities: z.array(z.looseObject({ roles: z.array(z.string()).catch([]), vcardArray: z.unknown() })).catch([]),
})

/** jCard: ["vcard", [["fn", {}, "text", "Registrar Inc."], …]] */
function nameIn(vcard: unknown): string | null {
  if (!Array.isArray(vcard) || !Array.isArray(vcard[1])) return null
  const found = vcard[1].find((property) => Array.isArray(property) && property[0] === 'fn')
  const name: unknown = Array.isArray(found) ? found[3] : undefined
  return typeof name === 'string' && name !== '' ? name : null
}

export type Outcome = 'registered' | 'absent' | 'refused' | 'no server'

/** A row that says only how the question ended. */
export function withoutAnswer(domain: string, outcome: Exclude<Outcome, 'registered'>): SourceRow {
  const unknown = { registered_name: null, registered_at: null, changed_at: null, expires_at: null }
  return { domain, outcome, ...unknown, registrar: null, status: null }
}

/** @returns null when the body is no answer about a domain */
export function rowOf(domain: string, name: string, body: unknown): SourceRow | null {
  const parsed = answer.safeParse(body)
  if (!parsed.success || Object(body).objectClassName !== 'domain') return null
  const { events, status, entities } = parsed.data
  const at = (action: string) => events.find(({ eventAction }) => eventAction === action)?.eventDate ?? null
  const registrar = entities.find(({ roles }) => roles.includes('registrar'))
  return {
    domain,
    outcome: 'registered',
    registered_name: name,
    registered_at: at('registration'),
    changed_at: at('last changed'),
    expires_at: at('expiration'),
    registrar: registrar === undefined ? null : nameIn(registrar.vcardArray),
    status: status.length === 0 ? null : status.join(';'),
  }
}
