/**
 * What definitions that are not deployed would make of stored entities: loaded and computed as the stage does, and not
 * written.
 *
 * Invariant: reads only; a feature that has no column of its type yet counts as without a value.
 */
import type { Client } from '../db/pool.ts'
import { FEATURE_POSTGRES_TYPE, type FeatureValue } from '../define/index.ts'
import type { EntityNode } from '../graph/graph.ts'
import { tellSql } from '../log/clock.ts'
import { mask } from './affected.ts'
import { computeRow, demandAsked, type Failure } from './compute.ts'
import { typesOf } from './feature-table.ts'
import { Loader } from './load.ts'
import { compileProgram } from './program.ts'

export interface Shadow {
  readonly key: string
  /** By bit, as stored; null where nothing is. */
  readonly before: readonly FeatureValue[]
  /** By bit; as stored where nothing of it changed. */
  readonly after: readonly FeatureValue[]
  readonly failure: Failure | null
}

async function readClock(client: Client): Promise<number> {
  const { rows } = await client.query<{ now: number }>(tellSql(undefined, false))
  return rows[0]?.now ?? 0
}

/**
 * @param bits features that changed; what reads them follows where their values move
 * @throws database errors: a table or column that the definitions read may not be there yet
 */
export async function shadow(
  client: Client,
  node: EntityNode,
  bits: readonly number[],
  keys: readonly string[],
): Promise<readonly Shadow[]> {
  const program = compileProgram(node)
  const types = await typesOf(client, node.featureTable)
  const absent = node.features
    .map(({ feature }) => feature)
    .filter(({ name, type }) => types.get(name) !== FEATURE_POSTGRES_TYPE[type])
  const loader = new Loader(program, new Set(absent.map(({ name }) => name)))
  const rows = await loader.load(client, program.all, keys, program.timed === 0n ? 0 : await readClock(client))
  const asked = { bits: mask(bits), isForced: true }
  const unchanged = node.features.map(() => 0)
  return rows
    .filter(({ exists }) => exists)
    .map((row) => {
      const { values, failure } = computeRow(program, row, demandAsked(program, row, asked, unchanged), false)
      return { key: row.key, before: row.stored, after: values, failure }
    })
}
