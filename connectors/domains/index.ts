/**
 * The domain of every company of the CRM: an association table made from it, which the connectors of web data read their
 * questions from and features go through. Calls nobody.
 *
 * ```ts
 * domains({ companies })        // hubspot.companies: `domain`, or else `website`
 * ```
 */
import { bigint, defineConnector, defineTable, derive, type Table, text } from '../../src/define/index.ts'
import { domainOf } from './domain-of.ts'

/** One row for each company that has one; `domain` null: it states none. */
export const companyDomains = defineTable({
  name: 'web.company_domains',
  key: 'company_id',
  columns: { company_id: bigint().notNull(), stated_domain: text(), stated_website: text(), domain: text() },
})

/** Every domain any company has had. */
export const domainNames = defineTable({
  name: 'web.domains',
  key: 'domain',
  columns: { domain: text().notNull() },
})

export interface DomainsOptions {
  /** A table keyed by a bigint. */
  readonly companies: Table
  /** The column that is looked at first. Default: domain. */
  readonly domain?: string
  /** The column that is looked at where the first names none. Default: website. */
  readonly website?: string
  /** Pause between looks; default 5 s. */
  readonly everyMs?: number
}

export const domains = ({ companies, domain = 'domain', website = 'website', everyMs = 5_000 }: DomainsOptions) =>
  defineConnector({
    name: 'domains',
    streams: [
      derive({
        table: companyDomains,
        from: companies,
        columns: { stated_domain: domain, stated_website: website },
        row: (stated) => ({
          domain: domainOf(stated.stated_domain ?? null) ?? domainOf(stated.stated_website ?? null),
        }),
        also: { table: domainNames, row: ({ domain }) => (typeof domain === 'string' ? { domain } : null) },
        everyMs,
      }),
    ],
  })

export { domainOf } from './domain-of.ts'
