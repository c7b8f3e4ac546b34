/**
 * What the database says is deployed against the code.
 * Invariant: the version decides; a hash that differs is the code's own business (it warns when it is deployed).
 */
import type { Client } from '../../db/pool.ts'
import type { Graph } from '../../graph/graph.ts'
import type { Difference } from './difference.ts'
import type { VerifiedModel } from './model.ts'

interface DefinitionRow {
  readonly entity: string
  readonly feature: string
  readonly version: number
  readonly changed_in_epoch: number
  readonly backfill: bigint | null
}

interface ModelRow {
  readonly model: string
  readonly entity: string
  readonly version: string
  readonly artifact_hash: string
}

function definition(entity: string, what: string, stored: unknown, expected: unknown): Difference {
  const says = (side: unknown) => (side === null ? 'nothing' : JSON.stringify(side))
  const message = `Deployed is ${says(stored)}; the code says ${says(expected)}.`
  return { kind: 'definition', entity, key: null, what, stored, expected, message }
}

export interface Definitions {
  readonly differences: readonly Difference[]
  /** Entity to the epoch in which one of its features last changed. */
  readonly epochs: ReadonlyMap<string, number>
  /** Entity to the newest epoch that no backfill is to catch up with: older rows are wrong, younger ones may wait. */
  readonly required: ReadonlyMap<string, number>
  /** Names of all models, those included that are deployed but gone from the code. */
  readonly models: ReadonlySet<string>
}

/** Features by version, models by version and artifact. */
export async function checkDefinitions(
  client: Client,
  graph: Graph,
  models: readonly VerifiedModel[],
): Promise<Definitions> {
  const features = await client.query<DefinitionRow>(
    'select entity, feature, version, changed_in_epoch, backfill from rescore.definition order by entity, feature',
  )
  const deployed = await client.query<ModelRow>(
    'select model, entity, version, artifact_hash from rescore.model_definition order by model',
  )
  const differences: Difference[] = []
  const epochs = new Map<string, number>()
  const required = new Map<string, number>()
  for (const { entity, features: nodes } of graph.entities.values()) {
    const rows = new Map(features.rows.filter((row) => row.entity === entity.name).map((row) => [row.feature, row]))
    epochs.set(entity.name, Math.max(0, ...nodes.map(({ feature }) => rows.get(feature.name)?.changed_in_epoch ?? 0)))
    const now = [...rows.values()].filter(({ backfill }) => backfill === null)
    required.set(entity.name, Math.max(0, ...now.map((row) => row.changed_in_epoch)))
    for (const { feature } of nodes) {
      const stored = rows.get(feature.name)?.version ?? null
      rows.delete(feature.name)
      if (stored !== feature.version) differences.push(definition(entity.name, feature.name, stored, feature.version))
    }
    for (const [name, row] of rows) differences.push(definition(entity.name, name, row.version, null))
  }
  const rows = new Map(deployed.rows.map((row) => [row.model, row]))
  const names = new Set([...rows.keys(), ...models.map(({ model }) => model.name)])
  for (const { model, version, artifactHash } of models) {
    const row = rows.get(model.name)
    rows.delete(model.name)
    const stored = row === undefined ? null : { version: row.version, artifactHash: row.artifact_hash }
    if (stored?.version !== version || stored.artifactHash !== artifactHash) {
      differences.push(definition(model.entity.name, model.name, stored, { version, artifactHash }))
    }
  }
  for (const { model, entity, version } of rows.values()) differences.push(definition(entity, model, { version }, null))
  return { differences, epochs, required, models: names }
}
