/**
 * The CRM side of a lookup in the kit: web.company_domains, as the domains connector fills it. A fixture's new records are
 * new companies there as well as new answers at the source.
 */
import type { Queryable } from '../../src/db/pool.ts'

export class CrmDomains {
  #database: Queryable | undefined
  #companies = 0

  /** After the kit has emptied the database. */
  async prepare(database: Queryable, domains: readonly string[]): Promise<void> {
    this.#database = database
    await database.query(`create schema if not exists web; drop table if exists web.company_domains;
      create table web.company_domains (company_id bigint primary key, domain text)`)
    this.#companies = 0
    await this.add(domains)
  }

  async add(domains: readonly string[]): Promise<void> {
    if (this.#database === undefined) throw new Error('the kit has not prepared the database yet')
    const first = this.#companies
    this.#companies += domains.length
    await this.#database.query(
      'insert into web.company_domains select $1::bigint + row, domain from unnest($2::text[]) with ordinality as d(domain, row)',
      [first, domains],
    )
  }
}
