/**
 * Types of the source's columns, told from their oids: what a domain is over, what an array is of.
 * Invariant: a type this cannot tell (dropped since, or made by an extension) is `other`: text, never an error.
 */
import type { Pool } from '../db/pool.ts'

type Scalar =
  | 'integer'
  | 'numeric'
  | 'float'
  | 'boolean'
  | 'date'
  | 'timestamptz'
  | 'timestamp'
  | 'json'
  | 'uuid'
  | 'other'

export type SourceType = { readonly kind: Scalar } | { readonly kind: 'array'; readonly element: Scalar }

const SCALARS: ReadonlyMap<number, Scalar> = new Map<number, Scalar>([
  [20, 'integer'],
  [21, 'integer'],
  [23, 'integer'],
  [1700, 'numeric'],
  [700, 'float'],
  [701, 'float'],
  [16, 'boolean'],
  [1082, 'date'],
  [1184, 'timestamptz'],
  [1114, 'timestamp'],
  [114, 'json'],
  [3802, 'json'],
  [2950, 'uuid'],
])

const scalar = (oid: number): Scalar => SCALARS.get(oid) ?? 'other'

interface TypeRow {
  readonly declared: number
  readonly oid: number
  readonly element: number
}

/** Down to what is no domain; of an array the element likewise. */
const UNDER = `
with recursive under as (
  select oid as declared, oid, typtype, typbasetype, typcategory, typelem from pg_type where oid = any($1::oid[])
  union all
  select u.declared, t.oid, t.typtype, t.typbasetype, t.typcategory, t.typelem
  from under u join pg_type t on t.oid = u.typbasetype where u.typtype = 'd')
select u.declared::bigint::float8 as declared, u.oid::bigint::float8 as oid,
  case when u.typcategory = 'A' then coalesce(nullif(e.typbasetype, 0), e.oid) else 0 end::bigint::float8 as element
from under u left join pg_type e on e.oid = u.typelem where u.typtype <> 'd'`

export class SourceTypes {
  readonly #pool: Pool
  readonly #known = new Map<number, SourceType>()

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** As PostgreSQL writes them. */
  async names(oids: readonly number[]): Promise<readonly string[]> {
    const { rows } = await this.#pool.query<{ name: string }>(
      'select format_type(o.oid, null) as name from unnest($1::oid[]) with ordinality as o(oid, at) order by at',
      [oids],
    )
    return rows.map(({ name }) => name)
  }

  async of(oids: readonly number[]): Promise<ReadonlyMap<number, SourceType>> {
    const unknown = oids.filter((oid) => !this.#known.has(oid) && !SCALARS.has(oid))
    if (unknown.length > 0) {
      const { rows } = await this.#pool.query<TypeRow>(UNDER, [unknown])
      for (const { declared, oid, element } of rows) {
        this.#known.set(declared, element === 0 ? { kind: scalar(oid) } : { kind: 'array', element: scalar(element) })
      }
    }
    return new Map(oids.map((oid) => [oid, this.#known.get(oid) ?? { kind: scalar(oid) }]))
  }
}
