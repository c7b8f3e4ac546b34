/**
 * Says of edited features that their values are the same: the stored ones stay, and the edit is no longer told of.
 *
 * Invariants: who said it, when, and of which code is kept; it holds for exactly that code under that version. Nothing is
 * noted of any when one of them is not edited, or when the sample says otherwise.
 */
import type { Pool } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { type DeployedDefinition, diffDefinitions, READ_DEFINITIONS } from '../recompute/definitions.ts'
import { takeSample } from './sample.ts'

export interface EquivalentOptions {
  readonly pool: Pool
  readonly node: EntityNode
  /** Names; empty: every edited feature of the entity. */
  readonly features: readonly string[]
  /** Entities to try it on; 0: none, the word is taken for it. */
  readonly sample: number
  readonly markedBy: string
  readonly signal: AbortSignal
}

export interface Marked {
  readonly entity: string
  readonly features: readonly { readonly feature: string; readonly version: number }[]
  readonly markedBy: string
  /** Entities it was tried on. */
  readonly tried: number
}

function notEdited(entity: string, feature: string): RescoreError {
  return new RescoreError({
    code: 'FEATURE_NOT_EDITED',
    fate: 'stop',
    message: `There is no unanswered edit of ${entity}.${feature} under its deployed version.`,
    mend: 'See what differs: rescore plan',
  })
}

function editedAmong({ node, features }: EquivalentOptions, edited: readonly FeatureNode[]): readonly FeatureNode[] {
  const other = features.find((name) => edited.every(({ feature }) => feature.name !== name))
  if (other !== undefined) throw notEdited(node.entity.name, other)
  if (edited.length === 0) throw notEdited(node.entity.name, 'any feature')
  return features.length === 0 ? edited : edited.filter(({ feature }) => features.includes(feature.name))
}

async function tryOut(
  { pool, node, sample, signal }: EquivalentOptions,
  meant: readonly FeatureNode[],
): Promise<number> {
  if (sample === 0) return 0
  const bits = meant.map(({ bit }) => bit)
  const { entities, failed, firstFailure, features } = await takeSample(pool, {
    node,
    bits,
    models: [],
    size: sample,
    signal,
  })
  const [moved] = features
  if (moved === undefined && failed === 0) return entities
  const [mover] = moved?.movers ?? []
  throw new RescoreError({
    code: 'FEATURE_NOT_EQUIVALENT',
    fate: 'stop',
    message:
      moved === undefined
        ? `Of ${entities} entities ${failed} could not be computed, the first ${firstFailure}.`
        : `Of ${entities} entities ${moved.changed} have another ${moved.feature}, such as ${mover?.key}: ${String(mover?.from)} -> ${String(mover?.to)}.`,
    mend: 'Raise its version. Where those differences are known and the stored values are to stay: --sample 0',
  })
}

/** @throws RescoreError FEATURE_NOT_EDITED, FEATURE_NOT_EQUIVALENT; database errors */
export async function markEquivalent(options: EquivalentOptions): Promise<Marked> {
  const { pool, node, markedBy } = options
  const { rows } = await pool.query<DeployedDefinition>(READ_DEFINITIONS)
  const meant = editedAmong(options, diffDefinitions(node, rows).edited)
  const tried = await tryOut(options, meant)
  await pool.query(
    `insert into rescore.equivalent (entity, feature, version, hash, marked_by)
     select $1, u.*, $5 from unnest($2::text[], $3::integer[], $4::text[]) as u on conflict do nothing`,
    [
      node.entity.name,
      meant.map(({ feature }) => feature.name),
      meant.map(({ feature }) => feature.version),
      meant.map(({ hash }) => hash),
      markedBy,
    ],
  )
  const features = meant.map(({ feature: { name, version } }) => ({ feature: name, version }))
  return { entity: node.entity.name, features, markedBy, tried }
}
