/**
 * The code of every feature of a project, to be held against the code of its last deployment.
 * Invariant: comments, formatting, types and descriptions are no part of it; nor is what comes from packages.
 */
import type { AnyFeature, ProjectConfig } from '../../define/index.ts'
import { reachOf, readSources } from './reach.ts'
import { functionText } from './tree.ts'

/** Of a compute function whose project is not at hand. */
export function codeOfText(compute: string): string {
  return JSON.stringify([functionText(compute)])
}

function* featuresOf(config: ProjectConfig): Generator<AnyFeature> {
  const left = [...config.features, ...config.models.flatMap(({ features }) => features)]
  const seen = new Set<AnyFeature>()
  for (let feature = left.pop(); feature !== undefined; feature = left.pop()) {
    if (seen.has(feature)) continue
    seen.add(feature)
    yield feature
    for (const input of Object.values(feature.inputs)) if (input.input === 'feature') left.push(input)
  }
}

/** @param file of the configuration */
export function readCode(file: string, config: ProjectConfig): ReadonlyMap<AnyFeature, string> {
  const project = readSources(file)
  const code = new Map<AnyFeature, string>()
  for (const feature of featuresOf(config)) {
    const text = feature.compute.toString()
    code.set(feature, reachOf(project, feature.name, text) ?? codeOfText(text))
  }
  return code
}
