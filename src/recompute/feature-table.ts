/**
 * The table `rescore.features_<entity>`, brought in line with the features in the code.
 *
 * Invariant: columns are only added, or made anew when the feature's type changed together with its version (the stored
 * values are stale then anyway). A column of a removed feature stays, and is taken up when the feature comes back. Runs in
 * the caller's transaction.
 */
import { type Client, type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import { FEATURE_POSTGRES_TYPE } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { SILENCED_BY } from '../graph/silenced.ts'
import { tellValuesGone } from './drop-values.ts'
import type { Program } from './program.ts'
import type { RemovedFeature } from './removed.ts'

/** By column; empty where there is no such table. */
export async function typesOf(client: Queryable, table: string): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ name: string; type: string }>(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
     where attrelid = to_regclass($1) and attnum > 0 and not attisdropped`,
    [quoteTable(table)],
  )
  return new Map(rows.map(({ name, type }) => [name, type]))
}

function refuseKey(program: Program, found: string | undefined): RescoreError {
  const { featureTable, entity, key } = program.node
  return new RescoreError({
    code: 'FEATURE_KEY_TYPE',
    fate: 'stop',
    message: `The key of ${featureTable} is ${found}, but ${entity.table.id}.${key} is declared as ${program.keyType}.`,
    mend: `Drop table ${featureTable}; it is filled again from the source tables.`,
  })
}

function refuseType({ feature }: FeatureNode, found: string, isBack: boolean): RescoreError {
  const mend = `Set the version of '${feature.name}' to ${feature.version + 1}`
  return new RescoreError({
    code: 'FEATURE_TYPE_CHANGED',
    fate: 'stop',
    message: `Feature '${feature.name}' is ${feature.type} (${FEATURE_POSTGRES_TYPE[feature.type]}) in the code, its stored values are ${found}, and both are version ${feature.version}.`,
    mend: isBack ? `${mend}, or drop what is left of the removed one first: rescore prune` : `${mend}.`,
  })
}

export interface TableChange {
  /** Features that are new or of another version. */
  readonly changed: readonly FeatureNode[]
  /** Features whose column outlived them. */
  readonly removed: readonly RemovedFeature[]
  readonly isRollback: boolean
}

/** Features whose column has another type, and may not have it. */
export function findRefusals(
  { entity, features }: EntityNode,
  types: ReadonlyMap<string, string>,
  { changed, removed, isRollback }: TableChange,
): readonly RescoreError[] {
  const before = new Map(removed.filter((one) => one.entity === entity.name).map((one) => [one.feature, one.version]))
  return features.flatMap((node) => {
    const { name, type, version } = node.feature
    const found = types.get(name)
    if (found === undefined || found === FEATURE_POSTGRES_TYPE[type]) return []
    const isBack = before.get(name) === version
    return changed.includes(node) && (!isBack || isRollback) ? [] : [refuseType(node, found, isBack)]
  })
}

/** @throws RescoreError FEATURE_KEY_TYPE or FEATURE_TYPE_CHANGED */
export async function ensureFeatureTable(client: Client, program: Program, change: TableChange): Promise<void> {
  const { featureTable, features, entity } = program.node
  const table = quoteTable(featureTable)
  await client.query(`create table if not exists ${table} (
    key ${program.keyType} primary key,
    snap_lsn pg_lsn not null,
    epoch integer not null,
    source_lsn pg_lsn,
    source_at timestamptz,
    computed_at timestamptz not null default clock_timestamp(),
    ${SILENCED_BY} bigint
  ) with (fillfactor = 80)`)
  const types = await typesOf(client, featureTable)
  if (types.get('key') !== program.keyType) throw refuseKey(program, types.get('key'))
  const [refusal] = findRefusals(program.node, types, change)
  if (refusal !== undefined) throw refusal
  const steps = types.has(SILENCED_BY) ? [] : [`add column ${SILENCED_BY} bigint`]
  for (const node of features) {
    const column = quoteIdent(node.feature.name)
    const type = FEATURE_POSTGRES_TYPE[node.feature.type]
    const found = types.get(node.feature.name)
    if (found === type) continue
    if (found !== undefined) {
      await tellValuesGone(client, { entity: entity.name, featureTable }, node.feature.name)
      steps.push(`drop column ${column}`)
    }
    steps.push(`add column ${column} ${type}`)
  }
  if (steps.length > 0) await client.query(`alter table ${table} ${steps.join(', ')}`)
  // Of the rows that carry the mark and no others, so writes of all others stay within their page.
  const index = quoteIdent(`features_${program.node.entity.name}_silenced`)
  await client.query(`create index if not exists ${index} on ${table} (key) where ${SILENCED_BY} is not null`)
  const { rows } = await client.query<{ identity: string }>(
    'select relreplident as identity from pg_class where oid = $1::regclass',
    [table],
  )
  if (rows[0]?.identity !== 'f') await client.query(`alter table ${table} replica identity full`)
}
