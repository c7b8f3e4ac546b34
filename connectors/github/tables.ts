/** Source tables for GitHub: organisations, no persons. */
import { boolean, defineTable, integer, text, timestamp } from '../../src/define/index.ts'

/** One row for each company domain that an organisation says is its own. */
export const organisations = defineTable({
  name: 'github.organisations',
  key: 'domain',
  columns: {
    /** As web.company_domains writes it. */
    domain: text().notNull(),
    login: text(),
    name: text(),
    website: text(),
    /** GitHub has seen that the domain is theirs. */
    is_verified: boolean(),
    public_repos: integer(),
    followers: integer(),
    created_at: timestamp(),
  },
})

/** Of the hundred public repositories pushed to last; forks are left out. */
export const activity = defineTable({
  name: 'github.activity',
  key: 'login',
  columns: {
    login: text().notNull(),
    repositories: integer(),
    stars: integer(),
    forks: integer(),
    open_issues: integer(),
    /** The language most of them are in. */
    language: text(),
    last_push_at: timestamp(),
    newest_at: timestamp(),
  },
})
