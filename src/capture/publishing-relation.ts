/**
 * What a relation message says of a table, and what only the catalog knows of it: the primary key and the types beneath.
 *
 * Invariants: pgoutput flags the columns of the replica identity, which under FULL are all of them, so the key comes from
 * the catalog, once per description; a key whose old values the stream does not carry falls back to the identity. The
 * catalog is read as it is now: a table dropped since is written with the columns of its identity as key.
 */
import type { Pool } from '../db/pool.ts'
import type { EncodedRelation } from '../log/kafka/encode-types.ts'
import { Reader } from './reader.ts'

export interface DescribedRelation {
  readonly relid: number
  readonly schema: string
  readonly name: string
  /** Replica identity FULL: whole old rows are in the stream. */
  readonly isFull: boolean
  readonly columns: readonly {
    readonly name: string
    readonly oid: number
    readonly typmod: number
    readonly isIdentity: boolean
  }[]
}

const FULL = 0x66

export function readDescription(message: Buffer): DescribedRelation {
  const reader = new Reader(message)
  const relid = reader.uint32()
  const [schema, name] = [reader.cstring(), reader.cstring()]
  const isFull = reader.uint8() === FULL
  const count = reader.uint16()
  const columns = Array.from({ length: count }, () => ({
    isIdentity: (reader.uint8() & 1) === 1,
    name: reader.cstring(),
    oid: reader.uint32(),
    typmod: reader.uint32() | 0,
  }))
  reader.end()
  return { relid, schema: schema === '' ? 'pg_catalog' : schema, name, isFull, columns }
}

interface TypeRow {
  readonly declared: string
  readonly oid: string
  readonly typmod: number
  readonly element: string
}

/** Of each type: what a domain is over in the end, and the elements of an array. */
const TYPES = `
with recursive under as (
  select oid as declared, oid, typtype, typbasetype, typtypmod as typmod, typcategory, typelem from pg_type
  where oid = any($1::oid[])
  union all
  select u.declared, t.oid, t.typtype, t.typbasetype, greatest(u.typmod, t.typtypmod), t.typcategory, t.typelem
  from under u join pg_type t on t.oid = u.typbasetype where u.typtype = 'd')
select declared::text, oid::text, typmod, case when typcategory = 'A' then typelem else 0 end::text as element
from under where typtype <> 'd'`

const KEY = `
select a.attname as name from pg_index i cross join unnest(i.indkey::int[]) with ordinality as k (attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = $1::oid and i.indisprimary and k.place <= i.indnkeyatts order by k.place`

export async function resolveRelation(pool: Pool, described: DescribedRelation): Promise<EncodedRelation> {
  const { schema, name, isFull, columns } = described
  const types = await pool.query<TypeRow>(TYPES, [columns.map(({ oid }) => oid)])
  const key = await pool.query<{ name: string }>(KEY, [described.relid])
  const under = new Map(types.rows.map((row) => [Number(row.declared), row]))
  const identity = columns.filter((column) => column.isIdentity).map((column) => column.name)
  const names = key.rows.map((row) => row.name)
  const isCarried =
    names.length > 0 && names.every((each) => (isFull ? columns.some((c) => c.name === each) : identity.includes(each)))
  return {
    schema,
    name,
    key: isCarried ? names : isFull ? [] : identity,
    columns: columns.map((column) => {
      const type = under.get(column.oid)
      return {
        name: column.name,
        isIdentity: column.isIdentity,
        oid: type === undefined ? column.oid : Number(type.oid),
        typmod: column.typmod >= 0 ? column.typmod : (type?.typmod ?? -1),
        elementOid: Number(type?.element ?? 0),
      }
    }),
  }
}
