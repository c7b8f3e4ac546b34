/**
 * How the stored values of an entity's features are: how many, how many of them up to date, how many null.
 *
 * Invariants: reads only, and costs about the same however large the table is: a large one is looked at on a sample of
 * its pages, and then every figure says that it is an estimate. What took too long is not known, which is null.
 */
import { type Client, isCanceled, type Pool, quoteIdent, quoteTable, withTransaction } from '../db/pool.ts'

/** Larger ones are sampled; up to here every row is looked at, in some tens of milliseconds. */
const COUNTED_BELOW = 100_000
/** Of 8 KiB: some tens of thousands of rows, which tell a share of 1 % to about a tenth of it. */
const SAMPLED_PAGES = 1_000
const PAGE_BYTES = 8_192

export interface StoredFeature {
  readonly feature: string
  readonly changedIn: number
}

export interface ColumnFigures {
  /** false: everything but `aside` is an estimate. */
  readonly isExact: boolean
  readonly rows: number
  /** Entities put aside: nobody vouches for their rows. */
  readonly aside: number
  /** By feature: of the other rows, those computed under its present definition. */
  readonly fresh: ReadonlyMap<string, number>
  /** By feature: of the other rows, those that are not. */
  readonly stale: ReadonlyMap<string, number>
  /** By feature: whether some were computed under an older definition, rather than marked to be looked at again. */
  readonly isOutdated: ReadonlyMap<string, boolean>
  /** By feature: share of null values, 0 to 1; null: there are no rows. */
  readonly nullRate: ReadonlyMap<string, number | null>
}

interface Group {
  readonly epoch: number
  readonly aside: boolean
  readonly rows: number
  readonly nulls: readonly number[]
}

interface Sample {
  /** Of the pages to look at. */
  readonly percent: number
  /** As PostgreSQL has it from its last analysis; null: there was none. */
  readonly rows: number | null
}

/** null: few enough to look at all of them. */
async function sampleOf(client: Client, table: string): Promise<Sample | null> {
  const { rows } = await client.query<{ few: boolean; pages: number; rows: number | null }>(
    `select (select count(*) from (select from ${table} limit ${COUNTED_BELOW + 1}) r) <= ${COUNTED_BELOW} as few,
       pg_relation_size(oid)::float8 / ${PAGE_BYTES} as pages,
       case when reltuples >= ${COUNTED_BELOW} then reltuples::float8 end as rows
     from pg_class where oid = $1::regclass`,
    [table],
  )
  const [size] = rows
  if (size === undefined || size.few || size.pages <= SAMPLED_PAGES) return null
  return { percent: (100 * SAMPLED_PAGES) / size.pages, rows: size.rows }
}

async function readGroups(
  client: Client,
  entity: string,
  features: readonly StoredFeature[],
  sample: Sample | null,
): Promise<readonly Group[]> {
  const nulls = features.map(({ feature }) => `count(*) filter (where f.${quoteIdent(feature)} is null)`)
  const pages = sample === null ? '' : `tablesample system (${sample.percent})`
  const { rows } = await client.query<Group>(
    `select f.epoch, q.key is not null as aside, count(*)::float8 as rows, array[${nulls.join(', ')}]::float8[] as nulls
     from ${quoteTable(`rescore.features_${entity}`)} f ${pages}
     left join rescore.quarantine q on q.entity = $1 and q.key = f.key::text group by 1, 2`,
    [entity],
  )
  return rows
}

async function countAside(client: Client, entity: string): Promise<number> {
  const { rows } = await client.query<{ count: number }>(
    'select count(*)::float8 as count from rescore.quarantine where entity = $1',
    [entity],
  )
  return rows[0]?.count ?? 0
}

/** @param withinMs for each statement */
export async function readColumns(
  pool: Pool,
  entity: string,
  features: readonly StoredFeature[],
  withinMs: number,
): Promise<ColumnFigures | null> {
  try {
    return await withTransaction(pool, { isolation: 'repeatable read', readOnly: true }, async (client) => {
      await client.query(`set local statement_timeout = ${withinMs}`)
      const sample = await sampleOf(client, quoteTable(`rescore.features_${entity}`))
      const groups = await readGroups(client, entity, features, sample)
      const aside = await countAside(client, entity)
      const all = (some: readonly Group[]) => some.reduce((sum, { rows }) => sum + rows, 0)
      const seen = all(groups)
      const total = sample === null ? seen : (sample.rows ?? (seen * 100) / sample.percent)
      const scaled = (some: readonly Group[]) => (seen === 0 ? 0 : Math.round((all(some) * total) / seen))
      const vouched = groups.filter((group) => !group.aside)
      const by = <T>(of: (changedIn: number, index: number) => T) =>
        new Map(features.map(({ feature, changedIn }, index) => [feature, of(changedIn, index)]))
      return {
        isExact: sample === null,
        rows: scaled(groups),
        aside,
        fresh: by((changedIn) => scaled(vouched.filter(({ epoch }) => epoch >= changedIn))),
        stale: by((changedIn) => scaled(vouched.filter(({ epoch }) => epoch < changedIn))),
        isOutdated: by((changedIn) => vouched.some(({ epoch }) => epoch > 0 && epoch < changedIn)),
        nullRate: by((_, index) =>
          seen === 0 ? null : groups.reduce((sum, { nulls }) => sum + (nulls[index] ?? 0), 0) / seen,
        ),
      }
    })
  } catch (error) {
    if (isCanceled(error)) return null
    throw error
  }
}
