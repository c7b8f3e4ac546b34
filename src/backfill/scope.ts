/**
 * The entities of a backfill as SQL: those of its policy that satisfy its condition.
 *
 * Invariant: the condition is one expression over the entity's own row, checked by PostgreSQL itself before anything is
 * stored; as part of a statement with parameters it cannot become a second statement.
 */
import {
  isCanceled,
  isRetriableDbError,
  type Pool,
  type Queryable,
  quoteIdent,
  quoteTable,
  sqlState,
  withTransaction,
} from '../db/pool.ts'
import { asError, RescoreError } from '../errors.ts'
import type { EntityNode } from '../graph/graph.ts'
import { SILENCED_BY } from '../graph/silenced.ts'
import type { Policy } from './job.ts'

export interface Scope {
  readonly policy: Policy
  /** Names; empty: every feature. */
  readonly features: readonly string[]
  /** SQL over the entity's own row; null: every row. */
  readonly condition: string | null
}

function policySql(node: EntityNode, { policy, features }: Scope): string {
  const key = `e.${quoteIdent(node.key)}`
  const stored = `from ${quoteTable(node.featureTable)} f where f.key = ${key}`
  if (policy === 'all') return 'true'
  if (policy === 'failed') {
    const about = (alias: string) => `${alias}.entity = '${node.entity.name}' and ${alias}.key = ${key}::text`
    return `(exists (select from rescore.quarantine q where ${about('q')})
      or exists (select from rescore.violation v where ${about('v')} and v.effect = 'held'))`
  }
  if (policy === 'missing') {
    const named = features.length > 0 ? features : node.features.map(({ feature }) => feature.name)
    const hasAll = named.map((name) => `f.${quoteIdent(name)} is not null`).join(' and ')
    return `not exists (select ${stored} and ${hasAll})`
  }
  if (policy === 'silenced') return `exists (select ${stored} and f.${SILENCED_BY} is not null)`
  return `not exists (select ${stored} and f.epoch >= $1)`
}

/**
 * `from … where …` of the scope, the own row as `e`. $1 is the epoch in which its features last changed; `$1::integer`
 * stands in every form of it, because a parameter that nothing mentions has no type.
 */
export function scopeSql(node: EntityNode, scope: Scope): string {
  const condition = scope.condition === null ? 'true' : `coalesce((select (${scope.condition}\n)), false)`
  return `from ${quoteTable(node.entity.table.id)} e
    where $1::integer is not null and ${condition} and ${policySql(node, scope)}`
}

/** The epoch in which one of these features last changed. */
export async function changedIn(database: Queryable, node: EntityNode, features: readonly string[]): Promise<number> {
  const { rows } = await database.query<{ epoch: number }>(
    `select coalesce(max(changed_in_epoch), 0) as epoch from rescore.definition
     where entity = $1 and ($2::text[] = '{}' or feature = any($2::text[]))`,
    [node.entity.name, [...features]],
  )
  return rows[0]?.epoch ?? 0
}

export interface Count {
  readonly count: number
  readonly isExact: boolean
}

const COUNT_WITHIN_MS = 5_000

const UNDEFINED_COLUMN = '42703'
const SYNTAX = '42601'
const MISMATCH = '42804'

/** What stands behind the condition in the statement is not the user's. */
function wordsOf(condition: string, text: string, error: Error): string {
  const at = 'position' in error ? Number(error.position) - 1 - text.indexOf(condition) : 0
  if (sqlState(error) === SYNTAX && at >= condition.length) return 'it ends too early'
  if (sqlState(error) === MISMATCH && error.message.startsWith('COALESCE')) return 'it is not true or false of a row'
  const hint = 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint.replaceAll('"e.', '"')}` : ''
  return `${error.message}.${hint}`.replace(/\.$/, '')
}

/** PostgreSQL's own words, which name the column or the place. @param text the statement it was part of */
function refused(node: EntityNode, condition: string, text: string, error: Error): RescoreError {
  const columns = Object.keys(node.entity.table.columns).join(', ')
  return new RescoreError({
    code: 'BACKFILL_CONDITION',
    fate: 'stop',
    message: `PostgreSQL refuses the condition (${condition}): ${wordsOf(condition, text, error)}.`,
    mend:
      sqlState(error) === UNDEFINED_COLUMN
        ? `Columns of ${node.entity.table.id} that features can read: ${columns}.`
        : `It is SQL that is true or false of a row of ${node.entity.table.id}, for example --where "${node.key} is not null".`,
    cause: error,
  })
}

const EXPLAIN = 'explain (format json) '

async function explainedRows(database: Queryable, text: string, epoch: number): Promise<number> {
  const { rows } = await database.query<{ 'QUERY PLAN': readonly { Plan: { 'Plan Rows': number } }[] }>(
    `${EXPLAIN}${text}`,
    [epoch],
  )
  return rows[0]?.['QUERY PLAN'][0]?.Plan['Plan Rows'] ?? 0
}

/**
 * How many entities; PostgreSQL's estimate where counting takes longer than 5 s.
 * @throws RescoreError BACKFILL_CONDITION
 */
export async function countScope(pool: Pool, node: EntityNode, scope: Scope): Promise<Count> {
  const epoch = await changedIn(pool, node, scope.features)
  const text = `select e.${quoteIdent(node.key)} ${scopeSql(node, scope)}`
  try {
    const estimate = await explainedRows(pool, text, epoch)
    return await withTransaction(pool, { readOnly: true }, async (client) => {
      await client.query(`set local statement_timeout = ${COUNT_WITHIN_MS}`)
      const { rows } = await client.query<{ count: number }>(
        `select count(*)::float8 as count from (${text}) as counted`,
        [epoch],
      )
      return { count: rows[0]?.count ?? 0, isExact: true }
    }).catch((error: unknown) => {
      if (!isCanceled(error)) throw error
      return { count: estimate, isExact: false }
    })
  } catch (error) {
    if (scope.condition === null || isRetriableDbError(error) || sqlState(error) === '') throw error
    throw refused(node, scope.condition, `${EXPLAIN}${text}`, asError(error))
  }
}
