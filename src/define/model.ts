/**
 * A model: a named, versioned function from features to a classification. The code names the features (the lineage);
 * the folder holds the artifact, its manifest (order, types, classes, threshold, hash) and the parity file, and
 * src/score refuses to start when the two disagree.
 */

import type { AnyEntity } from './entity.ts'
import { assertName } from './entity.ts'
import type { AnyFeature } from './feature.ts'

export interface Model {
  readonly name: string
  readonly entity: AnyEntity
  readonly features: readonly AnyFeature[]
  /** Absolute `file:` URL of the folder with manifest.json, the artifact and the parity file; ends with a slash. */
  readonly folder: string
  readonly description: string
}

export interface ModelSpec {
  readonly name: string
  readonly entity: AnyEntity
  /** Every feature the manifest lists, in any order. */
  readonly features: readonly AnyFeature[]
  /** Where the model's files are, as `import.meta.url` of the file that defines it, or a folder URL. */
  readonly folder: string | URL
  readonly description: string
}

/** @throws TypeError when the name is not usable, a feature belongs to another entity, or is listed twice */
export function defineModel(spec: ModelSpec): Model {
  const { name, entity, features, description } = spec
  assertName('Model', name)
  const seen = new Set<string>()
  for (const feature of features) {
    if (feature.entity.name !== entity.name) {
      throw new TypeError(
        `Model '${name}' scores ${entity.name}; feature '${feature.name}' belongs to ${feature.entity.name}.`,
      )
    }
    if (seen.has(feature.name)) throw new TypeError(`Model '${name}' lists feature '${feature.name}' twice.`)
    seen.add(feature.name)
  }
  return { name, entity, features: [...features], folder: new URL('./', spec.folder).href, description }
}
