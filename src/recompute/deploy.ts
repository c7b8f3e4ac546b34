/**
 * Brings feature tables and the table of definitions in line with the code, before any change is read.
 *
 * Invariants: one transaction under an advisory lock, so two processes that start at once deploy once and a crash leaves
 * nothing half done; a second deploy of the same code writes nothing. A new epoch begins when a feature is added, has
 * another version, or reads one that has.
 */
import { ADVISORY_LOCK } from '../db/locks.ts'
import { type Client, type Pool, withTransaction } from '../db/pool.ts'
import type { FeatureNode, Graph } from '../graph/graph.ts'
import type { Report } from '../log/stage.ts'
import { forgetOthers } from './computed.ts'
import { type DefinitionDiff, type DeployedDefinition, diffDefinitions } from './definitions.ts'
import { planBackfill } from './deploy-backfill.ts'
import { holdEpochs } from './epochs.ts'
import { ensureFeatureTable } from './feature-table.ts'
import { plainArray, textArray } from './literals.ts'
import type { Program } from './program.ts'
import { forgetTimers } from './timers.ts'

const SAVE = `insert into rescore.definition (entity, feature, version, hash, changed_in_epoch)
  select $1, u.*, $5 from unnest($2::text[], $3::integer[], $4::text[]) as u
  on conflict (entity, feature) do update set version = excluded.version, hash = excluded.hash,
    changed_in_epoch = excluded.changed_in_epoch, backfill = null, deployed_at = clock_timestamp()`

async function save(client: Client, entity: string, nodes: readonly FeatureNode[], epoch: number): Promise<void> {
  await client.query(SAVE, [
    entity,
    textArray(nodes.map(({ feature }) => feature.name)),
    plainArray(nodes.map(({ feature }) => feature.version)),
    textArray(nodes.map(({ hash }) => hash)),
    epoch,
  ])
}

async function saveDiff(client: Client, entity: string, diff: DefinitionDiff, epoch: number): Promise<void> {
  const stale = [...diff.changed, ...diff.readers]
  if (stale.length > 0) await save(client, entity, stale, epoch)
  for (const { feature, hash } of diff.edited) {
    await client.query('update rescore.definition set hash = $3 where entity = $1 and feature = $2', [
      entity,
      feature.name,
      hash,
    ])
  }
  if (diff.removed.length > 0) {
    await client.query('delete from rescore.definition where entity = $1 and feature = any($2::text[])', [
      entity,
      textArray(diff.removed),
    ])
  }
}

async function removeEntities(client: Client, graph: Graph): Promise<void> {
  await client.query('delete from rescore.definition where entity <> all($1::text[])', [
    textArray([...graph.entities.keys()]),
  ])
}

/** Told once per edit: the new text is what the next deploy compares with. */
function tell(report: Report, entity: string, edited: readonly FeatureNode[]): void {
  for (const { feature } of edited) {
    report({
      type: 'failed',
      stage: 'recompute',
      code: 'FEATURE_CODE_CHANGED',
      message: `The code of ${entity}.${feature.name} changed under version ${feature.version}: stored values are kept. Set its version to ${feature.version + 1} if they can differ.`,
    })
  }
}

/**
 * @param approveAbove more rows that become stale at once wait for a backfill to be approved
 * @throws RescoreError FEATURE_KEY_TYPE or FEATURE_TYPE_CHANGED; then nothing is changed
 */
export async function deployFeatures(
  pool: Pool,
  graph: Graph,
  programs: readonly Program[],
  report: Report,
  approveAbove: number,
): Promise<void> {
  const edited = await withTransaction(pool, {}, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.deployFeatures])
    await holdEpochs(client)
    const { rows } = await client.query<DeployedDefinition>(
      'select entity, feature, version, hash, changed_in_epoch from rescore.definition',
    )
    const epoch = Math.max(0, ...rows.map((row) => row.changed_in_epoch)) + 1
    const diffs = new Map<string, readonly FeatureNode[]>()
    for (const program of programs) {
      const diff = diffDefinitions(program.node, rows)
      await ensureFeatureTable(client, program, new Set(diff.changed.map(({ bit }) => bit)))
      await saveDiff(client, program.node.entity.name, diff, epoch)
      await planBackfill(client, program.node, [...diff.changed, ...diff.readers], approveAbove)
      diffs.set(program.node.entity.name, diff.edited)
    }
    await removeEntities(client, graph)
    await forgetOthers(client, programs)
    await forgetTimers(client, programs)
    return diffs
  })
  for (const [entity, nodes] of edited) tell(report, entity, nodes)
}
