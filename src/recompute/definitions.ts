/**
 * Held against each other: the definitions in the code and those that were deployed.
 * Invariant: pure. Only a version decides that stored values are stale; a changed text of the code under the same
 * version is told, never acted on, because a text changes without the value and the value without the text.
 */
import type { EntityNode, FeatureNode, Graph } from '../graph/graph.ts'

export interface DeployedDefinition {
  readonly entity: string
  readonly feature: string
  readonly version: number
  /** Of the code the version was deployed with. */
  readonly hash: string
  readonly changed_in_epoch: number
  /** Hashes of other code that somebody has said to give the same values. */
  readonly equivalent: readonly string[]
}

export const READ_DEFINITIONS = `select d.entity, d.feature, d.version, d.hash, d.changed_in_epoch,
    array(select e.hash from rescore.equivalent e
      where (e.entity, e.feature, e.version) = (d.entity, d.feature, d.version)) as equivalent
  from rescore.definition d order by d.entity, d.feature`

/** What tells one release of the features from another: names and versions. */
export function membersOf(graph: Graph): readonly string[] {
  return [...graph.entities.values()].flatMap(({ entity, features }) =>
    features.map(({ feature }) => `${entity.name}.${feature.name} ${feature.version}`),
  )
}

export interface DefinitionDiff {
  /** New, or of another version. */
  readonly changed: readonly FeatureNode[]
  /** Reads a changed feature, directly or not: its values are stale though its own version stands. */
  readonly readers: readonly FeatureNode[]
  /**
   * Other code under the same version, and nobody has said that it is equivalent; of a reader, which is computed anew in
   * any case, it does not matter.
   */
  readonly edited: readonly FeatureNode[]
  /** Names deployed earlier and gone from the code. */
  readonly removed: readonly string[]
}

export function diffDefinitions(node: EntityNode, deployed: readonly DeployedDefinition[]): DefinitionDiff {
  const known = new Map(
    deployed.filter(({ entity }) => entity === node.entity.name).map((definition) => [definition.feature, definition]),
  )
  const { features } = node
  const changed = features.filter(({ feature }) => known.get(feature.name)?.version !== feature.version)
  const isChanged = new Set(changed.map(({ bit }) => bit))
  const isReader = new Set<number>()
  // Topological order: a reader comes after everything it reads.
  for (const { bit, readers } of features) {
    if (isChanged.has(bit) || isReader.has(bit)) for (const reader of readers) isReader.add(reader)
  }
  return {
    changed,
    readers: features.filter(({ bit }) => isReader.has(bit) && !isChanged.has(bit)),
    edited: features.filter(({ bit, feature, hash }) => {
      const definition = known.get(feature.name)
      const isKnown = definition?.hash === hash || definition?.equivalent.includes(hash) === true
      return !isChanged.has(bit) && !isReader.has(bit) && !isKnown
    }),
    removed: [...known.keys()].filter((name) => !features.some(({ feature }) => feature.name === name)),
  }
}
