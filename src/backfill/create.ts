/**
 * Makes a backfill: checked, counted, and stored with what it is to do.
 *
 * Invariants: what cannot run is refused before anything is stored. A list of keys, or an order other than by key, is
 * cut into chunks here, in the transaction that makes the job; one in key order is cut as it goes (cut.ts).
 */
import { type Client, type Pool, quoteIdent, withTransaction } from '../db/pool.ts'
import { columnOf } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import type { EntityNode } from '../graph/graph.ts'
import { keyType } from '../graph/key-type.ts'
import { isPossibleKey } from '../recompute/literals.ts'
import { BACKFILL_COLUMNS, type Backfill } from './job.ts'
import { type Count, changedIn, countScope, type Scope, scopeSql } from './scope.ts'

export interface BackfillRequest extends Scope {
  /** Keys as text; null: every entity of the scope. */
  readonly ids: readonly string[] | null
  /** `column`, `column asc` or `column desc`; null: key order. */
  readonly priority: string | null
  readonly rate: number | null
  /** Default false. */
  readonly isSilent?: boolean
  /** Default: nobody said. */
  readonly askedBy?: string | null
}

export const KEYS_PER_CHUNK = 500
/** A priority list is materialised: keys of some 40 bytes. */
const MAX_LISTED = 10_000_000

/** @throws RescoreError FEATURE_UNKNOWN */
export function checkFeatures(node: EntityNode, features: readonly string[]): void {
  const unknown = features.find((name) => node.features.every(({ feature }) => feature.name !== name))
  if (unknown === undefined) return
  throw new RescoreError({
    code: 'FEATURE_UNKNOWN',
    fate: 'stop',
    message: `There is no feature '${unknown}' of ${node.entity.name}.`,
    mend: `There are: ${node.features.map(({ feature }) => feature.name).join(', ')}.`,
  })
}

/** @throws RescoreError BACKFILL_KEY */
function checkKeys(node: EntityNode, ids: readonly string[]): void {
  const { kind } = columnOf(node.entity.table, node.key)
  const wrong = ids.find((id) => !isPossibleKey(kind, id))
  if (wrong === undefined) return
  throw new RescoreError({
    code: 'BACKFILL_KEY',
    fate: 'stop',
    message: `'${wrong}' cannot be the key of a ${node.entity.name}: ${node.entity.table.id}.${node.key} is ${keyType(node)}.`,
    mend: 'Name keys separated by commas: --ids 1,2,3.',
  })
}

/** @throws RescoreError BACKFILL_PRIORITY */
function orderSql(node: EntityNode, priority: string): string {
  const [column = '', direction = 'asc', ...more] = priority.trim().split(/\s+/)
  const isKnown = Object.hasOwn(node.entity.table.columns, column)
  if (isKnown && more.length === 0 && /^(asc|desc)$/i.test(direction)) {
    return `e.${quoteIdent(column)} ${direction} nulls last, e.${quoteIdent(node.key)}`
  }
  throw new RescoreError({
    code: 'BACKFILL_PRIORITY',
    fate: 'stop',
    message: isKnown ? `'${priority}' is no order.` : `'${column}' is no column of ${node.entity.table.id}.`,
    mend: `Name one column of it, and asc or desc: --order "${Object.keys(node.entity.table.columns)[0]} desc".`,
  })
}

const INSERT_CHUNKS = `insert into rescore.backfill_chunk (backfill, seq, keys)
  select $2, (place - 1) / ${KEYS_PER_CHUNK}, array_agg(key order by place)
  from (select key, row_number() over () as place from listed) as numbered group by 2`

async function cutList(client: Client, node: EntityNode, request: BackfillRequest, id: bigint): Promise<void> {
  const epoch = await changedIn(client, node, request.features)
  const key = `e.${quoteIdent(node.key)}`
  const order = request.priority === null ? key : orderSql(node, request.priority)
  const wanted = request.ids === null ? '' : `and ${key} = any($3::text[]::${keyType(node)}[])`
  await client.query(
    `with listed as materialized (
       select ${key}::text as key ${scopeSql(node, request)} ${wanted} order by ${order} limit ${MAX_LISTED})
     ${INSERT_CHUNKS}`,
    request.ids === null ? [epoch, id] : [epoch, id, [...request.ids]],
  )
  await client.query(
    `update rescore.backfill set is_cut = true, is_listed = true, is_total_exact = true,
       total = (select coalesce(sum(cardinality(keys)), 0) from rescore.backfill_chunk where backfill = $1)
     where id = $1`,
    [id],
  )
}

export interface CreateOptions {
  readonly reason: Backfill['reason']
  readonly state: 'planned' | 'running'
}

/**
 * Checks everything and counts; stores nothing.
 * @throws RescoreError FEATURE_UNKNOWN, BACKFILL_CONDITION, BACKFILL_PRIORITY, BACKFILL_KEY
 */
export async function measureBackfill(pool: Pool, node: EntityNode, request: BackfillRequest): Promise<Count> {
  checkFeatures(node, request.features)
  if (request.priority !== null) orderSql(node, request.priority)
  const { ids } = request
  if (ids === null) return countScope(pool, node, request)
  checkKeys(node, ids)
  // Refuses the condition in its own words.
  await countScope(pool, node, request)
  const epoch = await changedIn(pool, node, request.features)
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::float8 as count ${scopeSql(node, request)}
     and e.${quoteIdent(node.key)} = any($2::text[]::${keyType(node)}[])`,
    [epoch, [...ids]],
  )
  return { count: rows[0]?.count ?? 0, isExact: true }
}

/** @throws RescoreError FEATURE_UNKNOWN, BACKFILL_CONDITION, BACKFILL_PRIORITY, BACKFILL_KEY; then nothing is stored */
export async function createBackfill(
  pool: Pool,
  node: EntityNode,
  request: BackfillRequest,
  { reason, state }: CreateOptions,
): Promise<Backfill> {
  const total = await measureBackfill(pool, node, request)
  return withTransaction(pool, {}, async (client) => {
    const { rows } = await client.query<{ id: bigint }>(
      `insert into rescore.backfill
         (entity, features, policy, reason, condition, priority, rate, state, total, is_total_exact, is_silent, asked_by,
          started_at, before_at, noted_at)
       select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, u.at, u.at, u.at
       from (select case when $8 = 'running' then clock_timestamp() end as at) as u
       returning id`,
      [
        node.entity.name,
        [...request.features],
        request.policy,
        reason,
        request.condition,
        request.priority,
        request.rate,
        state,
        total.count,
        total.isExact,
        request.isSilent ?? false,
        request.askedBy ?? null,
      ],
    )
    const id = rows[0]?.id ?? 0n
    if (request.ids !== null || request.priority !== null) await cutList(client, node, request, id)
    const stored = await client.query<Backfill>(`select ${BACKFILL_COLUMNS} from rescore.backfill where id = $1`, [id])
    const [backfill] = stored.rows
    if (backfill === undefined) throw new TypeError(`Backfill ${id} was stored and is not there.`)
    return backfill
  })
}
