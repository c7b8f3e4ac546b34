/** What a command of the control API is given, and how it reads its input. */
import { idOf, type JsonObject } from './body.ts'
import { invalid } from './failure.ts'
import type { Faults } from './faults.ts'
import type { AppTokens } from './oauth.ts'
import type { ObjectType } from './object-types.ts'
import type { Portal } from './portal.ts'
import type { WebhookSender } from './webhooks-out.ts'

export interface Controlled {
  readonly portal: Portal
  readonly faults: Faults
  readonly webhooks: WebhookSender
  readonly tokens: AppTokens
  readonly counters: () => object
}

export function typeIn({ portal }: Controlled, body: JsonObject, name = 'type'): ObjectType {
  const spec = portal.types.find(String(body[name]))
  if (spec === undefined) {
    const names = portal.types.all().map((known) => known.name)
    throw invalid(`${name} must be one of ${names.join(', ')}`)
  }
  return spec.name
}

export function idIn(body: JsonObject, name = 'id'): number {
  const id = idOf(body[name])
  if (id === undefined) throw invalid(`${name} must be a record's id`)
  return id
}

export function numberIn(body: JsonObject, name: string): number | undefined {
  const value = body[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value)) throw invalid(`${name} must be a number`)
  return value
}

export type Command = (at: Controlled, body: JsonObject) => unknown
