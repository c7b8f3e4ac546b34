/**
 * From a company to what the web says of it: through its domain, which web.company_domains holds for each company.
 *
 * Invariant: a company without a domain, or one no source knows, reaches no rows, so its features say "unknown"; nothing
 * reads a clock (see company-entity.ts).
 */
import { companyDomains, domainNames } from '../connectors/domains/index.ts'
import { company } from './company-entity.ts'

const YEAR_MS = 365.25 * 86_400_000

export const byDomain = { through: companyDomains, from: 'company_id', to: 'domain' } as const
export const site = company.many(domainNames, byDomain)

/** @param ms milliseconds since 1970 @returns the decimal year; null when unknown */
export function yearOf(ms: number | null): number | null {
  return ms === null ? null : 1970 + ms / YEAR_MS
}
