/**
 * A small CRM with a connector whose source is a list in memory, for tests of erasures: companies with a history, contacts,
 * associations, lookups by domain; a model over a feature; a delivery to a table.
 */
import { z } from 'zod'
import type { Pool } from '../../src/db/pool.ts'
import {
  bigint,
  type Connector,
  defineConfig,
  defineConnector,
  defineEntity,
  defineFeature,
  defineStream,
  defineTable,
  integer,
  json,
  type Message,
  type ProjectConfig,
  rest,
  text,
} from '../../src/define/index.ts'

export const CANARY = 'canary-Zq7x'
export const KEY = '4242424242'

export const companies = defineTable({
  name: 'crm.companies',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), domain: text(), raw: json() },
})
export const contacts = defineTable({
  name: 'crm.contacts',
  key: 'id',
  columns: { id: bigint().notNull(), email: text(), age: integer() },
})
export const employment = defineTable({
  name: 'crm.employment',
  key: ['company_id', 'contact_id'],
  columns: { company_id: bigint().notNull(), contact_id: bigint().notNull(), label: text() },
  about: { company_id: companies, contact_id: contacts },
})
export const history = defineTable({
  name: 'crm.history',
  key: 'id',
  columns: { id: text().notNull(), company_id: bigint(), was: text() },
  about: { company_id: companies },
})
export const domains = defineTable({
  name: 'web.domains',
  key: 'domain',
  columns: { domain: text().notNull(), registrant: text() },
})

export const company = defineEntity({ name: 'company', table: companies })
export const contact = defineEntity({ name: 'contact', table: contacts })
const people = company.many(contacts, { through: employment, from: 'company_id', to: 'contact_id' })
const common = { version: 1, description: '' } as const
const initial = defineFeature({
  ...common,
  entity: company,
  name: 'shout',
  type: 'text',
  inputs: { name: company.columns.name },
  compute: ({ name }) => (name === null ? null : `${name}!`),
})
const staff = defineFeature({
  ...common,
  entity: company,
  name: 'staff_age',
  type: 'number',
  inputs: { age: people.sum('age') },
  compute: ({ age }) => age,
})
const mail = defineFeature({
  ...common,
  entity: contact,
  name: 'mail',
  type: 'text',
  inputs: { email: contact.columns.email },
  compute: ({ email }) => email,
})

export type SourceMessage = Exclude<Message<never>, { op: 'checkpoint' }>

/** What the source says at each pass. */
export interface MemorySource {
  messages: SourceMessage[]
}

export function memoryConnector(source: MemorySource): Connector {
  return defineConnector({
    name: 'crm',
    http: { baseUrl: 'http://127.0.0.1:1' },
    check: async () => [],
    streams: [
      defineStream({
        name: 'companies',
        tables: [companies, contacts, employment, history],
        state: { version: 1, schema: z.number() },
        everyMs: 25,
        async *sync({ state }) {
          yield* source.messages
          yield { op: 'checkpoint', state: (state ?? 0) + 1 }
        },
        async *read(_, keys) {
          const wanted = new Set(keys.map(({ id }) => String(id)))
          for (const message of source.messages) {
            if (message.op === 'upsert' && message.table === companies && wanted.has(String(message.row.id)))
              yield message
          }
        },
      }),
      // Never asked: only what it remembered and landed is looked at.
      rest({
        table: domains,
        lookup: { table: companies, column: 'domain', path: (domain) => `/domain/${domain}`, freshMs: 1e12 },
        everyMs: 1e9,
      }),
    ],
  })
}

export function projectOf(source: MemorySource): ProjectConfig {
  return defineConfig({ connectors: [memoryConnector(source)], features: [initial, staff, mail] })
}

/** Where in the whole database a text stands: every table of every schema, bytes included. */
export async function whereIs(pool: Pool, needle: string): Promise<readonly string[]> {
  const { rows: tables } = await pool.query<{ id: string }>(
    `select format('%I.%I', n.nspname, c.relname) as id from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 1`,
  )
  const hex = Buffer.from(needle).toString('hex')
  const found: string[] = []
  for (const { id } of tables) {
    const { rows } = await pool.query<{ row: string }>(
      `select left(t::text, 300) as row from ${id} t where t::text ilike '%' || $1 || '%' or t::text ilike '%' || $2 || '%' limit 1`,
      [needle, hex],
    )
    found.push(...rows.map(({ row }) => `${id}: ${row}`))
  }
  return found
}
