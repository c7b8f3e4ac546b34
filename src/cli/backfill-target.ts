/** What a person means by `employees_growth`, `company.employees_growth` or `company`: one entity, and features of it. */
import type { EntityNode, Graph } from '../graph/graph.ts'
import { usage } from './command.ts'

export interface Target {
  readonly node: EntityNode
  /** Names; empty: every feature. */
  readonly features: readonly string[]
}

function find(graph: Graph, text: string): readonly Target[] {
  const [entity = '', name] = text.split('.')
  const whole = graph.entities.get(entity)
  if (name === undefined && whole !== undefined) return [{ node: whole, features: [] }]
  const wanted = name ?? text
  return [...graph.entities.values()]
    .filter((node) => name === undefined || node.entity.name === entity)
    .filter((node) => node.features.some(({ feature }) => feature.name === wanted))
    .map((node) => ({ node, features: [wanted] }))
}

/** @throws RescoreError CLI_USAGE for what is unknown, means several things, or spans entities */
export function resolveTarget(graph: Graph, texts: readonly string[]): Target {
  const found = texts.map((text) => {
    const candidates = find(graph, text)
    const [first] = candidates
    if (first === undefined) {
      throw usage(`There is no feature or entity '${text}' in this project.`, 'See what there is: rescore features.')
    }
    if (candidates.length > 1) {
      const names = candidates.map(({ node }) => `${node.entity.name}.${text}`)
      throw usage(`'${text}' is a feature of several entities.`, `Say which: ${names.join(' or ')}.`)
    }
    return first
  })
  const [first] = found
  if (first === undefined) throw usage('Backfill what?', 'Name features or an entity: rescore backfill company.size.')
  if (found.some(({ node }) => node !== first.node)) {
    throw usage('These features are of several entities.', 'Do it for each entity by itself.')
  }
  const isWhole = found.some(({ features }) => features.length === 0)
  return { node: first.node, features: isWhole ? [] : [...new Set(found.flatMap(({ features }) => features))] }
}
