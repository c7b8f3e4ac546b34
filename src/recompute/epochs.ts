/**
 * Epochs: which stored rows are true of which definitions.
 *
 * Invariant: a row is stale exactly when its epoch is below the epoch in which one of its entity's features last changed.
 * The table alone knows; it is read in every transaction, so what one process makes stale no other takes for fresh,
 * and code whose definitions are not exactly the deployed ones writes nothing and passes over nothing. Epochs become visible in their order: were one chosen while
 * another was not committed yet, rows written with the other in between would pass for fresh.
 */
import { ADVISORY_LOCK } from '../db/locks.ts'
import type { Client, Queryable } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import type { EntityNode, Graph } from '../graph/graph.ts'
import { textArray } from './literals.ts'

/** This process is not wrong: another one has deployed other definitions meanwhile. */
function notDeployed(what: string): RescoreError {
  return new RescoreError({
    code: 'FEATURE_NOT_DEPLOYED',
    fate: 'stop',
    message: `Other definitions are deployed than those of this process: ${what}.`,
    mend: 'This process steps aside, and nothing was lost or doubled. Run it with the deployed code; to take its own back on purpose, once: rescore start --rollback',
  })
}

export interface EntityEpochs {
  /** The newest of `changedIn`: the epoch rows are written with. */
  readonly current: number
  /** By bit. */
  readonly changedIn: readonly number[]
  /** The newest that no backfill is to catch up with: rows below it are swept. */
  readonly swept: number
}

interface DefinitionRow {
  readonly entity: string
  readonly feature: string
  readonly version: number
  readonly changed_in_epoch: number
  readonly backfill: bigint | null
}

function epochsOf(node: EntityNode, rows: readonly DefinitionRow[]): EntityEpochs {
  const known = new Map(rows.filter(({ entity }) => entity === node.entity.name).map((row) => [row.feature, row]))
  const changedIn = node.features.map(({ feature }) => {
    const deployed = known.get(feature.name)
    if (deployed?.version === feature.version) return deployed.changed_in_epoch
    const found = deployed === undefined ? 'gone from' : `version ${deployed.version} in`
    throw notDeployed(
      `${node.entity.name}.${feature.name} is version ${feature.version} here, and ${found} the database`,
    )
  })
  const swept = changedIn.filter(
    (_, bit) => (known.get(node.features[bit]?.feature.name ?? '')?.backfill ?? null) === null,
  )
  return { current: Math.max(...changedIn), changedIn, swept: Math.max(0, ...swept) }
}

/** A process that does not know a feature would pass over the changes that only it reads. */
function refuseUnknown(graph: Graph, rows: readonly DefinitionRow[]): void {
  const unknown = rows.find(({ entity, feature }) =>
    (graph.entities.get(entity)?.features ?? []).every((one) => one.feature.name !== feature),
  )
  if (unknown !== undefined) throw notDeployed(`${unknown.entity}.${unknown.feature} is not among them`)
}

/** By entity. @throws RescoreError FEATURE_NOT_DEPLOYED when the deployed definitions are not those of the graph */
export async function readEpochs(client: Queryable, graph: Graph): Promise<ReadonlyMap<string, EntityEpochs>> {
  const { rows } = await client.query<DefinitionRow>({
    name: 'rescore-epochs',
    text: 'select entity, feature, version, changed_in_epoch, backfill from rescore.definition',
  })
  const epochs = new Map([...graph.entities].map(([name, node]) => [name, epochsOf(node, rows)]))
  const known = [...graph.entities.values()].reduce((sum, { features }) => sum + features.length, 0)
  if (known !== rows.length) refuseUnknown(graph, rows)
  return epochs
}

/** Until the end of the transaction nobody else chooses an epoch. Before the newest is read, in a statement of its own. */
export async function holdEpochs(client: Client): Promise<void> {
  await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.epochs])
}

/** One that no row was ever written with; while epochs are held. */
export async function nextEpoch(client: Client): Promise<number> {
  const { rows } = await client.query<{ epoch: number }>('select rescore.next_epoch() as epoch')
  return rows[0]?.epoch ?? 0
}

/** Makes every row of the entity stale in these features, without touching any: a new epoch. */
export async function makeStale(client: Client, node: EntityNode, bits: bigint): Promise<void> {
  await holdEpochs(client)
  const names = node.features.filter(({ bit }) => ((bits >> BigInt(bit)) & 1n) === 1n)
  await client.query(
    `update rescore.definition
     set changed_in_epoch = (select rescore.next_epoch()), backfill = null
     where entity = $1 and feature = any($2::text[])`,
    [node.entity.name, textArray(names.map(({ feature }) => feature.name))],
  )
}
