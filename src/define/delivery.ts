/**
 * A delivery: classifications of one entity written somewhere outside, field by field.
 *
 * Contract. What is delivered is the present state, never a log of changes: a value is sent when it differs from what
 * the destination was last told. Sent at least once, and a repeat carries the same id. `write` answers for every record
 * it was given; a failure that concerns all of them it throws.
 */

import type { AnyEntity } from './entity.ts'
import { assertName } from './entity.ts'
import type { Model } from './model.ts'
import type { Budget, SourceContext } from './stream.ts'

export type DeliveredValue = string | number

export interface DeliveredField {
  readonly model: Model
  readonly value: 'label' | 'probability'
  /** Digits after the point a probability is delivered with. */
  readonly digits: number
}

/** The label `model` gives. */
export function label(model: Model): DeliveredField {
  return { model, value: 'label', digits: 0 }
}

/** The probability of the model's positive class, rounded. */
export function probability(model: Model, { digits = 4 }: { readonly digits?: number } = {}): DeliveredField {
  if (!Number.isInteger(digits) || digits < 0 || digits > 15) throw new TypeError('digits must be 0 to 15.')
  return { model, value: 'probability', digits }
}

export interface DeliveryRecord {
  readonly key: string
  /** Of this writing: equal in a repeat, never used for another. */
  readonly id: string
  /** All the destination holds once this is written. Empty when the entity is gone. */
  readonly values: Readonly<Record<string, DeliveredValue>>
  /** Those of `values` that differ from what the destination was told. */
  readonly changed: Readonly<Record<string, DeliveredValue>>
  /** What it was told before; null: nothing. */
  readonly previous: Readonly<Record<string, DeliveredValue>> | null
  readonly isGone: boolean
}

export type DeliveryOutcome =
  | { readonly key: string; readonly status: 'written' }
  /** The record is not there any more: nothing to repeat. */
  | { readonly key: string; readonly status: 'gone'; readonly reason: string }
  /** This record was refused: it is set aside and tried again later and later. */
  | { readonly key: string; readonly status: 'refused'; readonly code: string; readonly reason: string }

export interface DeliveryLimits {
  /** A probability that moved by less is not written. Default 0: every difference is. */
  readonly deadBand?: number | undefined
  /** Records written in a day (UTC). Default: no limit. */
  readonly perDay?: number | undefined
  /** Writes of one record within an hour before it is set aside. Default 20. */
  readonly perRecordHour?: number | undefined
  /**
   * A delivered property is also an input of a feature, on purpose. Default false: refused at the start, because such a
   * circle may never come to rest.
   */
  readonly feedsFeatures?: boolean | undefined
}

interface DeliveryBase {
  readonly name: string
  readonly entity: AnyEntity
  readonly fields: Readonly<Record<string, DeliveredField>>
  readonly limits: {
    readonly deadBand: number
    readonly perDay: number | null
    readonly perRecordHour: number
    readonly feedsFeatures: boolean
  }
}

/** To a source, by its connector. */
export interface ConnectorDelivery extends DeliveryBase {
  readonly kind: 'connector'
  /** As the connector's own: calls of both draw from the same budgets. */
  readonly credential: string
  readonly budgets: readonly Budget[]
  readonly batchSize: number
  /**
   * Where the connector lands what we write: columns of the entity's own table named after the fields, and a column that
   * says when the source last changed the record. null: nowhere.
   */
  readonly mirror: { readonly columns: readonly string[]; readonly modifiedAt: string } | null
  /** Makes what is missing at the destination. Idempotent; called once per process before the first write. */
  prepare(context: SourceContext): Promise<void>
  write(context: SourceContext, records: readonly DeliveryRecord[]): Promise<readonly DeliveryOutcome[]>
}

/** To an HTTPS endpoint of the user's, one signed request per record. */
export interface WebhookDelivery extends DeliveryBase {
  readonly kind: 'webhook'
  readonly url: string
  /** `whsec_` and base64. */
  readonly secret: string
  /** Hosts, addresses and networks inside that may be reached, over plain HTTP too. */
  readonly allow: readonly string[]
  readonly concurrency: number
}

/** To a table of the user's, one row per entity; the fields are its columns. */
export interface TableDelivery extends DeliveryBase {
  readonly kind: 'table'
  /** `schema.name` */
  readonly table: string
  /** A column with a unique index. */
  readonly key: string
}

export type Delivery = ConnectorDelivery | WebhookDelivery | TableDelivery

export interface DeliverySpec extends DeliveryLimits {
  readonly name: string
  readonly entity: AnyEntity
  readonly fields: Readonly<Record<string, DeliveredField>>
}

/** @throws TypeError for a name, a limit or a field that is not usable */
export function deliveryBase(spec: DeliverySpec): DeliveryBase {
  const { name, entity, fields, deadBand = 0, perDay = null, perRecordHour = 20, feedsFeatures = false } = spec
  assertName('Delivery', name)
  if (Object.keys(fields).length === 0) throw new TypeError(`Delivery '${name}' has no fields.`)
  for (const [field, { model }] of Object.entries(fields)) {
    if (model.entity.name !== entity.name) {
      throw new TypeError(`Delivery '${name}' is of ${entity.name}; field '${field}' is of ${model.entity.name}.`)
    }
  }
  if (!(deadBand >= 0 && deadBand < 1)) throw new TypeError(`deadBand of delivery '${name}' must be 0 to 1.`)
  if (perDay !== null && !(perDay >= 1)) throw new TypeError(`perDay of delivery '${name}' must be 1 or more.`)
  if (!(perRecordHour >= 1)) throw new TypeError(`perRecordHour of delivery '${name}' must be 1 or more.`)
  return { name, entity, fields, limits: { deadBand, perDay, perRecordHour, feedsFeatures } }
}

export function deliverToWebhook(
  spec: DeliverySpec & {
    readonly url: string
    readonly secret: string
    readonly allow?: readonly string[]
    readonly concurrency?: number
  },
): WebhookDelivery {
  const { url, secret, allow = [], concurrency = 8 } = spec
  if (!/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/.test(secret)) {
    throw new TypeError(`The secret of delivery '${spec.name}' must be 'whsec_' and at least 24 bytes in base64.`)
  }
  return { ...deliveryBase(spec), kind: 'webhook', url, secret, allow, concurrency }
}

export function deliverToTable(
  spec: DeliverySpec & { readonly table: `${string}.${string}`; readonly key: string },
): TableDelivery {
  return { ...deliveryBase(spec), kind: 'table', table: spec.table, key: spec.key }
}
