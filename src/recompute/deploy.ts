/**
 * Brings feature tables and the table of definitions in line with the code, before any change is read.
 *
 * Invariants: one transaction while nobody works by the definitions, so two processes that start at once deploy once, a
 * crash leaves nothing half done, and nothing of the definitions before is written after; a second deploy of the same
 * code writes nothing. A new epoch begins when a feature is added, has another version, or reads one that has. What is
 * older than what is deployed is refused (outdated.ts).
 */
import type { Client, Pool } from '../db/pool.ts'
import { noteRelease } from '../db/release.ts'
import type { FeatureNode, Graph } from '../graph/graph.ts'
import type { Report } from '../log/stage.ts'
import { forgetOthers } from './computed.ts'
import {
  type DefinitionDiff,
  type DeployedDefinition,
  diffDefinitions,
  membersOf,
  READ_DEFINITIONS,
} from './definitions.ts'
import { whileDefinitionsHeld } from './definitions-lock.ts'
import { planBackfill } from './deploy-backfill.ts'
import { deployExpectations, forgetOtherEntities } from './deploy-expect.ts'
import { holdEpochs, nextEpoch } from './epochs.ts'
import { ensureFeatureTable } from './feature-table.ts'
import { plainArray, textArray } from './literals.ts'
import { recountNulls } from './null-count.ts'
import { refuseOutdated } from './outdated.ts'
import type { Program } from './program.ts'
import { forgetRemoved, noteRemoved, readRemoved } from './removed.ts'
import { forgetTimers } from './timers.ts'

const SAVE = `insert into rescore.definition (entity, feature, version, hash, changed_in_epoch)
  select $1, u.*, $5 from unnest($2::text[], $3::integer[], $4::text[]) as u
  on conflict (entity, feature) do update set version = excluded.version, hash = excluded.hash, edited_hash = null,
    changed_in_epoch = excluded.changed_in_epoch, backfill = null, deployed_at = clock_timestamp()`

/** The code under an unchanged version, where it is not what was noted of it. */
const NOTE_CODE = `update rescore.definition d set edited_hash = nullif(u.hash, d.hash)
  from unnest($2::text[], $3::text[]) as u (feature, hash)
  where d.entity = $1 and d.feature = u.feature and d.edited_hash is distinct from nullif(u.hash, d.hash)`

async function save(client: Client, entity: string, nodes: readonly FeatureNode[], epoch: number): Promise<void> {
  await client.query(SAVE, [
    entity,
    textArray(nodes.map(({ feature }) => feature.name)),
    plainArray(nodes.map(({ feature }) => feature.version)),
    textArray(nodes.map(({ hash }) => hash)),
    epoch,
  ])
}

async function saveDiff(client: Client, { node }: Program, diff: DefinitionDiff, epoch: number): Promise<void> {
  const entity = node.entity.name
  const stale = [...diff.changed, ...diff.readers]
  if (stale.length > 0) await save(client, entity, stale, epoch)
  await client.query(NOTE_CODE, [
    entity,
    textArray(node.features.map(({ feature }) => feature.name)),
    textArray(node.features.map(({ hash }) => hash)),
  ])
  await forgetRemoved(client, entity, diff.changed)
}

/** Their columns and values stay. */
async function remove(client: Client, graph: Graph, deployed: readonly DeployedDefinition[]): Promise<void> {
  const gone = deployed.filter(({ entity, feature }) =>
    (graph.entities.get(entity)?.features ?? []).every((one) => one.feature.name !== feature),
  )
  if (gone.length === 0) return
  await noteRemoved(client, gone)
  await client.query(
    `delete from rescore.definition where (entity, feature) in (select * from unnest($1::text[], $2::text[]))`,
    [textArray(gone.map(({ entity }) => entity)), textArray(gone.map(({ feature }) => feature))],
  )
}

/** At each start until somebody has answered: a higher version, or `rescore equivalent`. */
function tell(report: Report, entity: string, edited: readonly FeatureNode[]): void {
  for (const { feature } of edited) {
    const name = `${entity}.${feature.name}`
    report({
      type: 'failed',
      stage: 'recompute',
      code: 'FEATURE_CODE_CHANGED',
      message: `The code of ${name} changed under version ${feature.version}: stored values are kept. Set its version to ${feature.version + 1} if they can differ, or say that they cannot: rescore equivalent ${name}`,
    })
  }
}

export interface DeployOptions {
  /** More rows that become stale at once wait for a backfill to be approved. */
  readonly approveAbove: number
  /** Definitions that are older than the deployed ones are meant. */
  readonly isRollback: boolean
}

/**
 * @throws RescoreError FEATURE_OUTDATED, FEATURE_KEY_TYPE, FEATURE_TYPE_CHANGED or FEATURE_TABLE_BUSY; then nothing is
 * changed
 */
export async function deployFeatures(
  pool: Pool,
  graph: Graph,
  programs: readonly Program[],
  report: Report,
  { approveAbove, isRollback }: DeployOptions,
): Promise<void> {
  const told = await whileDefinitionsHeld(pool, async (client) => {
    await holdEpochs(client)
    const { rows } = await client.query<DeployedDefinition>(READ_DEFINITIONS)
    if (!isRollback) await refuseOutdated(client, graph, rows)
    const removed = await readRemoved(client)
    const all = programs.map((program) => ({ program, diff: diffDefinitions(program.node, rows) }))
    const epoch = all.some(({ diff }) => diff.changed.length > 0) ? await nextEpoch(client) : 0
    const edited = new Map<string, readonly FeatureNode[]>()
    for (const { program, diff } of all) {
      const { node } = program
      const stale = [...diff.changed, ...diff.readers]
      await ensureFeatureTable(client, program, { changed: diff.changed, removed, isRollback })
      await saveDiff(client, program, diff, epoch)
      await planBackfill(client, node, stale, approveAbove)
      await deployExpectations(client, node, new Set(stale.map(({ bit }) => bit)))
      edited.set(node.entity.name, diff.edited)
    }
    await remove(client, graph, rows)
    await noteRelease(client, 'features', membersOf(graph))
    await forgetOtherEntities(client, [...graph.entities.keys()])
    await forgetOthers(client, programs)
    await forgetTimers(client, programs)
    // Last: whoever waits for this holds keys that nothing here may wait for any more.
    for (const { node } of programs) await recountNulls(client, node)
    return edited
  })
  for (const [entity, nodes] of told) tell(report, entity, nodes)
}
