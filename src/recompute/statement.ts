/**
 * Prepared statements by name.
 * Invariant: one name, one text. PostgreSQL keeps a statement per connection and name, and connections outlive graphs.
 */
import { createHash } from 'node:crypto'

export interface Statement {
  readonly name: string
  readonly text: string
}

export function statement(purpose: string, text: string): Statement {
  const hash = createHash('sha256').update(text).digest('hex')
  return { name: `rescore-${purpose}-${hash.slice(0, 24)}`, text }
}
