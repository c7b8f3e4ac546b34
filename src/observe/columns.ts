/**
 * How the stored values of an entity's features are: how many, how many of them up to date, how many null.
 *
 * Invariants: reads only, and costs about the same however large the table is: rows are counted by epoch alone, which
 * touches no value, and nulls of a large table on a sample of its pages. What was sampled says so; what took too long is
 * not known, which is null.
 */
import { type Client, isCanceled, type Pool, quoteIdent, quoteTable, withTransaction } from '../db/pool.ts'

/** Larger ones are sampled; up to here counting every null takes some 20 ms a feature. */
const COUNTED_BELOW = 100_000
/** Within a tenth of a percent point, 19 times of 20, for a share of 1 %. */
const SAMPLED_ROWS = 40_000

export interface StoredFeature {
  readonly feature: string
  readonly changedIn: number
}

export interface ColumnFigures {
  readonly rows: number
  /** Of them, rows of entities that are put aside: nobody vouches for them. */
  readonly aside: number
  /** By feature: of the others, rows computed under its present definition. */
  readonly fresh: ReadonlyMap<string, number>
  /** By feature: of the others, rows computed under an older one. What is left is marked to be looked at again. */
  readonly outdated: ReadonlyMap<string, number>
  /** By feature: share of null values, 0 to 1; null: there are no rows. */
  readonly nullRate: ReadonlyMap<string, number | null>
  readonly isNullRateExact: boolean
}

interface Epoch {
  readonly epoch: number
  readonly aside: boolean
  readonly rows: number
}

/** Looked up only where there is one: every key as text costs more than all the rest. */
async function epochsSql(client: Client, entity: string): Promise<string> {
  const table = tableOf(entity)
  const { rowCount } = await client.query('select from rescore.quarantine where entity = $1 limit 1', [entity])
  if (rowCount === 0) return `select epoch, false as aside, count(*)::float8 as rows from ${table} group by epoch`
  return `select f.epoch, q.key is not null as aside, count(*)::float8 as rows from ${table} f
    left join rescore.quarantine q on q.entity = '${entity}' and q.key = f.key::text group by 1, 2`
}

const tableOf = (entity: string) => quoteTable(`rescore.features_${entity}`)

/**
 * @param withinMs for each of two statements
 */
export async function readColumns(
  pool: Pool,
  entity: string,
  features: readonly StoredFeature[],
  withinMs: number,
): Promise<ColumnFigures | null> {
  try {
    return await withTransaction(pool, { isolation: 'repeatable read', readOnly: true }, async (client) => {
      await client.query(`set local statement_timeout = ${withinMs}`)
      const epochs = await client.query<Epoch>(await epochsSql(client, entity))
      const count = (isCounted: (epoch: number, isAside: boolean) => boolean) =>
        epochs.rows.reduce((sum, { epoch, aside, rows }) => sum + (isCounted(epoch, aside) ? rows : 0), 0)
      const countVouched = (isCounted: (epoch: number) => boolean) =>
        count((epoch, isAside) => !isAside && isCounted(epoch))
      const rows = count(() => true)
      const isNullRateExact = rows <= COUNTED_BELOW
      const sample = isNullRateExact ? '' : `tablesample system (${(100 * SAMPLED_ROWS) / rows})`
      const nulls = features.map(({ feature }) => `count(*) filter (where ${quoteIdent(feature)} is null)`)
      const counted = await client.query<{ rows: number; nulls: number[] }>(
        `select count(*)::float8 as rows, array[${nulls.join(', ')}]::float8[] as nulls from ${tableOf(entity)} ${sample}`,
      )
      const [seen] = counted.rows
      const rateOf = (index: number) =>
        seen === undefined || seen.rows === 0 ? null : (seen.nulls[index] ?? 0) / seen.rows
      return {
        rows,
        aside: count((_, isAside) => isAside),
        fresh: new Map(
          features.map(({ feature, changedIn }) => [feature, countVouched((epoch) => epoch >= changedIn)]),
        ),
        outdated: new Map(
          features.map(({ feature, changedIn }) => [feature, countVouched((epoch) => epoch > 0 && epoch < changedIn)]),
        ),
        nullRate: new Map(features.map(({ feature }, index) => [feature, rateOf(index)])),
        isNullRateExact,
      }
    })
  } catch (error) {
    if (isCanceled(error)) return null
    throw error
  }
}
