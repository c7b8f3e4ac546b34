/**
 * The catalog of features: what each is, what it reads and who reads it, and how its stored values are.
 *
 * Invariant: reads only; counting the values of a table stops after 5 s, and then what is not known is null.
 */
import { isCanceled, type Pool, quoteIdent, quoteTable, withTransaction } from '../db/pool.ts'
import type { EntityNode, FeatureNode, Graph } from '../graph/graph.ts'
import { lineageOf } from '../graph/lineage.ts'

export interface CatalogEntry {
  readonly entity: string
  readonly feature: string
  readonly description: string
  readonly type: string
  readonly version: number
  /** null: not deployed. */
  readonly deployedVersion: number | null
  /** Other code under the deployed version: nobody has answered for it, or somebody has said that it is equivalent. */
  readonly edit: 'none' | 'unanswered' | 'equivalent'
  /** The backfill that its stale values wait for. */
  readonly backfill: bigint | null
  readonly reads: readonly string[]
  readonly readBy: readonly string[]
  /** Stored rows, and those of them computed under its present definition. */
  readonly rows: number | null
  readonly fresh: number | null
  /** Share of stored values that are null, 0 to 1. */
  readonly nullRate: number | null
  /** Seconds that live changes of its stage lag. */
  readonly lagSeconds: number | null
  readonly computed: number
  /** Share of computations that did not move the value, 0 to 1; null: never computed. */
  readonly cutOffRatio: number | null
}

interface DefinitionRow {
  readonly entity: string
  readonly feature: string
  readonly version: number
  readonly changed_in_epoch: number
  readonly backfill: bigint | null
  readonly computed: number | null
  readonly moved: number | null
  readonly hash: string
  readonly equivalent: readonly string[]
}

interface Counts {
  readonly rows: number
  readonly fresh: readonly number[]
  readonly nulls: readonly number[]
}

const DEFINITIONS = `select d.entity, d.feature, d.version, d.changed_in_epoch, d.backfill,
    t.computed::float8, t.moved::float8, d.hash, array(select e.hash from rescore.equivalent e
      where (e.entity, e.feature, e.version) = (d.entity, d.feature, d.version)) as equivalent
  from rescore.definition d left join rescore.feature_tally t using (entity, feature)`

const COUNT_WITHIN_MS = 5_000

/** null: not deployed, or too many to count in time. */
async function countValues(
  pool: Pool,
  node: EntityNode,
  known: ReadonlyMap<string, DefinitionRow>,
): Promise<Counts | null> {
  const deployed = node.features.filter(({ feature }) => known.has(feature.name))
  if (deployed.length === 0) return null
  const nulls = deployed.map(({ feature }) => `count(*) filter (where ${quoteIdent(feature.name)} is null)`)
  const fresh = deployed.map(
    ({ feature }) => `count(*) filter (where epoch >= ${known.get(feature.name)?.changed_in_epoch ?? 0})`,
  )
  try {
    return await withTransaction(pool, { readOnly: true }, async (client) => {
      await client.query(`set local statement_timeout = ${COUNT_WITHIN_MS}`)
      const { rows } = await client.query<{ rows: number; nulls: number[]; fresh: number[] }>(
        `select count(*)::float8 as rows, array[${nulls.join(', ')}]::float8[] as nulls,
           array[${fresh.join(', ')}]::float8[] as fresh from ${quoteTable(node.featureTable)}`,
      )
      const [row] = rows
      if (row === undefined) return null
      const place = (list: readonly number[]) =>
        node.features.map((one) => {
          const at = deployed.indexOf(one)
          return at < 0 ? 0 : (list[at] ?? 0)
        })
      return { rows: row.rows, nulls: place(row.nulls), fresh: place(row.fresh) }
    })
  } catch (error) {
    if (isCanceled(error)) return null
    throw error
  }
}

function editOf({ feature, hash }: FeatureNode, row: DefinitionRow | undefined): CatalogEntry['edit'] {
  if (row === undefined || row.version !== feature.version || row.hash === hash) return 'none'
  return row.equivalent.includes(hash) ? 'equivalent' : 'unanswered'
}

export async function readCatalog(pool: Pool, graph: Graph): Promise<readonly CatalogEntry[]> {
  const { rows } = await pool.query<DefinitionRow>(DEFINITIONS)
  const lag = await pool.query<{ lag: number | null }>(
    `select max(lag_seconds) as lag from rescore.stage_status
     where stage = 'recompute' and updated_at > now() - interval '35 s'`,
  )
  const lagSeconds = lag.rows[0]?.lag ?? null
  const entries: CatalogEntry[] = []
  for (const node of graph.entities.values()) {
    const { name: entity } = node.entity
    const known = new Map(rows.filter((row) => row.entity === entity).map((row) => [row.feature, row]))
    const counts = await countValues(pool, node, known)
    for (const featureNode of node.features) {
      const { feature, bit } = featureNode
      const row = known.get(feature.name)
      const lineage = lineageOf(node, featureNode)
      const isCounted = counts !== null && row !== undefined
      const computed = row?.computed ?? 0
      entries.push({
        entity,
        feature: feature.name,
        description: feature.description,
        type: feature.type,
        version: feature.version,
        deployedVersion: row?.version ?? null,
        edit: editOf(featureNode, row),
        backfill: row?.backfill ?? null,
        reads: lineage.inputs.map(({ text }) => text),
        readBy: [...lineage.below.map((name) => `${entity}.${name}`), ...lineage.models.map((name) => `model ${name}`)],
        rows: isCounted ? counts.rows : null,
        fresh: isCounted ? (counts.fresh[bit] ?? 0) : null,
        nullRate: isCounted && counts.rows > 0 ? (counts.nulls[bit] ?? 0) / counts.rows : null,
        lagSeconds,
        computed,
        cutOffRatio: computed === 0 ? null : 1 - (row?.moved ?? 0) / computed,
      })
    }
  }
  return entries
}
