/**
 * Held against each other: the definitions in the code and those that were deployed.
 * Invariant: pure. Only a version decides that stored values are stale; a changed text of the code under the same
 * version is told, never acted on, because a text changes without the value and the value without the text.
 */
import type { EntityNode, FeatureNode } from '../graph/graph.ts'

export interface DeployedDefinition {
  readonly entity: string
  readonly feature: string
  readonly version: number
  readonly hash: string
  readonly changed_in_epoch: number
}

export interface DefinitionDiff {
  /** New, or of another version. */
  readonly changed: readonly FeatureNode[]
  /** Reads a changed feature, directly or not: its values are stale though its own version stands. */
  readonly readers: readonly FeatureNode[]
  /** Other code under the same version; of a reader, which is computed anew in any case, it does not matter. */
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
    edited: features.filter(
      ({ bit, feature, hash }) => !isChanged.has(bit) && !isReader.has(bit) && known.get(feature.name)?.hash !== hash,
    ),
    removed: [...known.keys()].filter((name) => !features.some(({ feature }) => feature.name === name)),
  }
}
