/**
 * What feeds a feature and what it feeds, as far as it goes, read off the declarations.
 *
 * Invariant: pure; exact to the column, because what a feature does not declare it cannot read.
 */
import { type AnyInput, durationText, windowText } from '../define/index.ts'
import type { EntityNode, FeatureNode } from './graph.ts'

/** `public.deals.amount`; a row's existence alone: `public.deals`. */
export interface ReadColumn {
  readonly table: string
  readonly column: string | null
}

export interface FeatureLineage {
  readonly entity: string
  readonly feature: string
  /** Inputs in words, by alias. */
  readonly inputs: readonly { readonly alias: string; readonly text: string; readonly feature: string | null }[]
  /** Columns read directly or through other features. */
  readonly columns: readonly ReadColumn[]
  /** Features read, directly or not, the nearest last. */
  readonly above: readonly string[]
  /** Features that read it, directly or not. */
  readonly below: readonly string[]
  /** Models that read it, or one of those below. */
  readonly models: readonly string[]
}

function shownWhere(where: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(where).filter(([, value]) => value !== undefined)
  return entries.length === 0 ? '' : ` where ${JSON.stringify(Object.fromEntries(entries))}`
}

/** One input as a person would say it. */
export function inputText(input: AnyInput): string {
  if (input.input === 'feature') return `${input.entity.name}.${input.name}`
  if (input.input === 'column') return `${input.table.id}.${input.column}`
  if (input.input === 'days-since') return `days since ${inputText(input.of)}, ${input.zone}`
  if (input.input === 'period') return `every ${durationText(input.periodMs)}`
  const { operation, path, where, window } = input
  const last = path.at(-1)
  const through = path.slice(0, -1).map((hop) => hop.table.id)
  const columns = 'columns' in operation ? operation.columns : 'column' in operation ? [operation.column] : []
  const by = 'orderBy' in operation ? ` by ${operation.orderBy}` : ''
  const via = through.length === 0 ? '' : ` through ${through.join(', ')}`
  const within = window === undefined ? '' : ` in the ${windowText(window)}`
  return `${operation.op}(${columns.join(', ')}${by}) of ${last?.table.id ?? ''}${via}${within}${shownWhere(where)}`
}

function columnsOf(input: AnyInput): readonly ReadColumn[] {
  if (input.input === 'feature' || input.input === 'period') return []
  if (input.input === 'days-since') return columnsOf(input.of)
  if (input.input === 'column') return [{ table: input.table.id, column: input.column }]
  const { operation, path, where, window } = input
  const hops = path.flatMap((hop): readonly ReadColumn[] =>
    hop.kind === 'foreign-key'
      ? [{ table: hop.table.id, column: hop.column }]
      : [
          { table: hop.through.id, column: hop.from },
          { table: hop.through.id, column: hop.to },
          ...Object.keys(hop.throughWhere).map((column) => ({ table: hop.through.id, column })),
        ],
  )
  const table = path.at(-1)?.table.id ?? ''
  const read = [
    ...('columns' in operation ? operation.columns : []),
    ...('column' in operation ? [operation.column] : []),
    ...('orderBy' in operation ? [operation.orderBy] : []),
    ...Object.keys(where),
    ...(window === undefined ? [] : [window.on]),
  ]
  const rows: readonly ReadColumn[] = read.length === 0 ? [{ table, column: null }] : []
  return [...hops, ...read.map((column) => ({ table, column })), ...rows]
}

function distinct(columns: readonly ReadColumn[]): readonly ReadColumn[] {
  const known = new Map(columns.map((one) => [`${one.table} ${one.column ?? ''}`, one]))
  return [...known].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, column]) => column)
}

/** Names of the features that it reads, directly or not, in graph order. */
function above({ features }: EntityNode, { feature }: FeatureNode): ReadonlySet<string> {
  const found = new Set<string>()
  const visit = (inputs: readonly AnyInput[]) => {
    for (const input of inputs) {
      if (input.input !== 'feature' || found.has(input.name)) continue
      found.add(input.name)
      visit(Object.values(input.inputs))
    }
  }
  visit(Object.values(feature.inputs))
  return new Set(features.map((node) => node.feature.name).filter((name) => found.has(name)))
}

function below({ features }: EntityNode, { readers }: FeatureNode): readonly FeatureNode[] {
  const found = new Set<number>(readers)
  // Topological order: a reader comes after everything it reads.
  for (const { bit, readers: next } of features) if (found.has(bit)) for (const reader of next) found.add(reader)
  return features.filter(({ bit }) => found.has(bit))
}

export function lineageOf(node: EntityNode, featureNode: FeatureNode): FeatureLineage {
  const { feature } = featureNode
  const up = above(node, featureNode)
  const down = below(node, featureNode)
  const feeding = node.features.filter((one) => one === featureNode || up.has(one.feature.name))
  const fed = new Set([feature.name, ...down.map((one) => one.feature.name)])
  return {
    entity: node.entity.name,
    feature: feature.name,
    inputs: Object.entries(feature.inputs).map(([alias, input]) => ({
      alias,
      text: inputText(input),
      feature: input.input === 'feature' ? input.name : null,
    })),
    columns: distinct(feeding.flatMap((one) => Object.values(one.feature.inputs).flatMap(columnsOf))),
    above: [...up],
    below: down.map((one) => one.feature.name),
    models: node.models.filter((model) => model.features.some(({ name }) => fed.has(name))).map(({ name }) => name),
  }
}

export interface ColumnReader {
  readonly entity: string
  readonly feature: string
}

/** Features that a column (null: the row itself) feeds, directly or not. */
export function readersOf(nodes: Iterable<EntityNode>, { table, column }: ReadColumn): readonly ColumnReader[] {
  return [...nodes].flatMap((node) =>
    node.features
      .filter((one) => lineageOf(node, one).columns.some((read) => read.table === table && read.column === column))
      .map(({ feature }) => ({ entity: node.entity.name, feature: feature.name })),
  )
}

export interface Fed {
  readonly features: readonly ColumnReader[]
  /** Names. */
  readonly models: readonly string[]
}

/** What a column (null: the row itself) feeds, directly or not: features, and models that read one of them. */
export function fedBy(nodes: readonly EntityNode[], column: ReadColumn): Fed {
  const features = readersOf(nodes, column)
  const isFed = (entity: string, name: string) => features.some((one) => one.entity === entity && one.feature === name)
  const models = nodes.flatMap(({ entity, models: own }) =>
    own.filter((model) => model.features.some(({ name }) => isFed(entity.name, name))).map(({ name }) => name),
  )
  return { features, models }
}

export interface ModelLineage {
  readonly model: string
  readonly entity: string
  /** Features it reads itself. */
  readonly reads: readonly string[]
  /** Features that those read, directly or not. */
  readonly above: readonly string[]
  /** Columns that feed any of them. */
  readonly columns: readonly ReadColumn[]
}

/** null: there is no model of that name. */
export function modelLineageOf(nodes: readonly EntityNode[], name: string): ModelLineage | null {
  for (const node of nodes) {
    const model = node.models.find((one) => one.name === name)
    if (model === undefined) continue
    const reads = model.features.map((feature) => feature.name)
    const lineages = node.features
      .filter(({ feature }) => reads.includes(feature.name))
      .map((one) => lineageOf(node, one))
    const above = new Set(lineages.flatMap((one) => one.above).filter((one) => !reads.includes(one)))
    const columns = distinct(lineages.flatMap((one) => one.columns))
    return { model: name, entity: node.entity.name, reads, above: [...above], columns }
  }
  return null
}
