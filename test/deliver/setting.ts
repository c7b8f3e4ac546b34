/** A database with companies, a model and classifications written as score writes them, and deliveries of them. */
import { BudgetBook } from '../../src/connect/budget.ts'
import {
  bigint,
  type Delivery,
  type DeliveryOutcome,
  type DeliveryRecord,
  defineEntity,
  defineFeature,
  defineModel,
  defineTable,
  deliveryBase,
  label,
  number,
  probability,
  text,
  timestamp,
  type WebhookDelivery,
} from '../../src/define/index.ts'
import { type Destination, type DestinationOptions, openDestination } from '../../src/deliver/destination.ts'
import { takeOverDue } from '../../src/deliver/ledger.ts'
import { type PassOptions, type PassResult, runPass } from '../../src/deliver/pass.ts'
import { prepareDeliveries } from '../../src/deliver/prepare.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'

export const companies = defineTable({
  name: 'hubspot.companies',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    name: text(),
    numberofemployees: number(),
    growth_label: text(),
    growth_probability: number(),
    hs_lastmodifieddate: timestamp(),
  },
})
export const company = defineEntity({ name: 'company', table: companies })
export const employees = defineFeature({
  name: 'employees',
  entity: company,
  version: 1,
  type: 'number',
  description: 'Employees.',
  inputs: { count: company.columns.numberofemployees },
  compute: ({ count }) => count,
})
export const growth = defineModel({
  name: 'growth',
  entity: company,
  features: [employees],
  folder: import.meta.url,
  description: 'For tests: never loaded.',
})
export const graph = compileGraph({ connectors: [], features: [employees], models: [growth] })
export const FIELDS = { growth_label: label(growth), growth_probability: probability(growth) }

/** A destination that keeps what it is told, and fails as it is told to. */
export class Memory implements Destination {
  readonly batchSize: number
  readonly hearsOfGone = true
  /** As an endpoint that acts once on an id, on all values it is told. */
  readonly keepsIds: boolean
  readonly #ids = new Set<string>()
  readonly rows = new Map<string, DeliveryRecord['values']>()
  /** Every record it was ever sent. */
  readonly heard: DeliveryRecord[] = []
  refuses: (record: DeliveryRecord) => boolean = () => false
  failure: Error | null = null

  constructor(batchSize = 100, { keepsIds = false } = {}) {
    this.batchSize = batchSize
    this.keepsIds = keepsIds
  }

  prepare(): Promise<void> {
    return Promise.resolve()
  }

  write(records: readonly DeliveryRecord[]): Promise<readonly DeliveryOutcome[]> {
    if (this.failure !== null) return Promise.reject(this.failure)
    this.heard.push(...records)
    return Promise.resolve(records.map((record) => this.#take(record)))
  }

  #take(record: DeliveryRecord): DeliveryOutcome {
    const { key } = record
    if (this.refuses(record)) return { key, status: 'refused', code: 'TEST_REFUSED', reason: 'as the test asked' }
    if (this.keepsIds && this.#ids.has(record.id)) return { key, status: 'written' }
    this.#ids.add(record.id)
    if (record.isGone) this.rows.delete(key)
    else if (this.keepsIds) this.rows.set(key, record.values)
    else this.rows.set(key, { ...this.rows.get(key), ...record.changed })
    return { key, status: 'written' }
  }
}

/** Its kind only says how it would be opened: these tests bring a destination of their own. */
export function memoryDelivery(limits: Partial<WebhookDelivery['limits']> = {}): WebhookDelivery {
  const base = deliveryBase({ name: 'memory', entity: company, fields: FIELDS })
  const limited = { ...base, limits: { ...base.limits, perRecordHour: 1_000, ...limits } }
  return { ...limited, kind: 'webhook', url: '', secret: '', allow: [], concurrency: 1 }
}

export const values = (name: string, chance: number) => ({ growth_label: name, growth_probability: chance })

export interface Setting extends AsyncDisposable {
  readonly db: TestDatabase
  readonly options: DestinationOptions
  classify(rows: readonly (readonly [key: string | number, label: string, probability: number])[]): Promise<void>
  declassify(...keys: readonly (string | number)[]): Promise<void>
  /** Takes over what is due and passes until nothing is left to do now. @returns the passes */
  deliver(delivery: Delivery, destination?: Destination, more?: Partial<PassOptions>): Promise<readonly PassResult[]>
  destinationOf(delivery: Delivery): Destination
}

export async function setting(deliveries: readonly Delivery[]): Promise<Setting> {
  const db = await createTestDatabase('deliver')
  await db.query(`create schema hubspot; create table hubspot.companies (id bigint primary key, name text,
    numberofemployees numeric, growth_label text, growth_probability numeric, hs_lastmodifieddate timestamptz)`)
  const options: DestinationOptions = {
    pool: db.pool,
    signal: new AbortController().signal,
    budgets: new BudgetBook(),
    log: { info: () => undefined, warn: () => undefined },
  }
  await prepareDeliveries(db.pool, graph, deliveries)
  const destinationOf = (delivery: Delivery) => openDestination(delivery, options)
  return {
    db,
    options,
    destinationOf,
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
    classify: async (rows) => {
      await db.query(
        `insert into rescore.classification (model, key, entity, label, probability, probabilities, model_version,
           artifact_hash, fingerprint, features_lsn, snap_lsn)
         select 'growth', u.key, 'company', u.label, u.probability, array[u.probability], '1', 'x', 'x', '0/1', '0/1'
         from unnest($1::text[], $2::text[], $3::float8[]) as u (key, label, probability)
         on conflict (key, model) do update set label = excluded.label, probability = excluded.probability`,
        [rows.map(([key]) => String(key)), rows.map(([, name]) => name), rows.map(([, , chance]) => chance)],
      )
    },
    declassify: async (...keys) => {
      await db.query('delete from rescore.classification where key = any($1)', [keys.map(String)])
    },
    deliver: async (delivery, destination = destinationOf(delivery), more = {}) => {
      const passes: PassResult[] = []
      for (;;) {
        await takeOverDue(db.pool, deliveries)
        const pass = await runPass({ pool: db.pool, delivery, destination, now: Date.now, failures: 0, ...more })
        if (pass.looked === 0) return passes
        passes.push(pass)
        if (pass.pauseMs > 0) return passes
      }
    },
  }
}
