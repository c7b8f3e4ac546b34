/** The whole of a connector to Acme: what an author writes. */
import {
  bigint,
  defineConnector,
  defineTable,
  json,
  number,
  type Paging,
  rest,
  text,
  timestamp,
} from '../../src/define/index.ts'

export const companies = defineTable({
  name: 'acme.companies',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), employees: number(), updated_at: timestamp(), raw: json() },
})

const size = { parameter: 'limit', value: 100 }
export const PAGING: Readonly<Record<Exclude<Paging['by'], 'stream'>, Paging>> = {
  page: { by: 'page', parameter: 'page', size },
  offset: { by: 'offset', parameter: 'offset', size },
  cursor: { by: 'cursor', parameter: 'cursor', next: 'paging.next', size },
  link: { by: 'link', size },
  keyset: { by: 'keyset', parameter: 'after_id', size: { ...size, parameter: 'limit_by_id' } },
}

export const acme = ({ url, token, paging = PAGING.cursor }: { url: string; token: string; paging?: Paging }) =>
  defineConnector({
    name: 'acme',
    http: { baseUrl: url, auth: { kind: 'oauth', tokenUrl: '/token', clientId: 'kit', clientSecret: token } },
    budgets: [{ key: 'acme', calls: 10, perMs: 1_000, concurrency: 2 }],
    streams: [
      rest({
        table: companies,
        list: {
          path: '/companies',
          items: 'results',
          paging,
          changed: { parameter: 'updated_since', newerBy: 'updated_at' },
        },
        columns: { employees: 'stats.employees' },
        deleted: 'archived',
        mergedInto: 'merged_into',
        sweep: { everyMs: 3_600_000 },
      }),
    ],
  })
