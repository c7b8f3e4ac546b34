/** `rescore lineage`: from a feature, a column, a table or a model, up to the columns that feed it and down to the models. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import type { Table } from '../define/index.ts'
import { compileGraph } from '../graph/compile.ts'
import type { EntityNode, Graph } from '../graph/graph.ts'
import {
  type FeatureLineage,
  type Fed,
  fedBy,
  lineageOf,
  type ModelLineage,
  modelLineageOf,
  type ReadColumn,
} from '../graph/lineage.ts'
import { resolveTarget } from './backfill-target.ts'
import { type Common, command, usage } from './command.ts'
import { paint, print, printJson } from './output.ts'

const lines = (items: readonly string[]) => (items.length === 0 ? ['  nothing'] : items.map((item) => `  ${item}`))

const columnText = ({ table, column }: ReadColumn) => (column === null ? `${table} (its rows)` : `${table}.${column}`)

function fedText({ features, models }: Fed): readonly string[] {
  return [...features.map(({ entity, feature }) => `${entity}.${feature}`), ...models.map((name) => `model ${name}`)]
}

export function renderLineage({ entity, feature, inputs, columns, above, below, models }: FeatureLineage): string {
  const up = above.length === 0 ? [] : ['fed by features', ...lines(above.map((name) => `${entity}.${name}`))]
  return [
    paint(`${entity}.${feature}`, 'bold'),
    'reads',
    ...lines(inputs.map(({ alias, text }) => `${alias}: ${text}`)),
    'fed by columns, directly or through features',
    ...lines(columns.map(columnText)),
    ...up,
    'feeds',
    ...lines([...below.map((name) => `${entity}.${name}`), ...models.map((name) => `model ${name}`)]),
  ].join('\n')
}

function renderModel({ model, entity, reads, above, columns }: ModelLineage): string {
  return [
    paint(`model ${model}`, 'bold'),
    'reads',
    ...lines(reads.map((name) => `${entity}.${name}`)),
    ...(above.length === 0 ? [] : ['fed by features', ...lines(above.map((name) => `${entity}.${name}`))]),
    'fed by columns, through these features',
    ...lines(columns.map(columnText)),
  ].join('\n')
}

function renderColumn(column: ReadColumn, fed: Fed): string {
  return [paint(columnText(column), 'bold'), 'feeds', ...lines(fedText(fed))].join('\n')
}

/** A table that is read, as `schema.table`, and what of it: a column, or null for the table itself. */
function tableNamed(graph: Graph, text: string): { readonly table: Table; readonly column: string | null } | null {
  const table = graph.tables.find(({ id }) => text === id || text.startsWith(`${id}.`))
  if (table === undefined) return null
  const column = text === table.id ? null : text.slice(table.id.length + 1)
  if (column === null || Object.hasOwn(table.columns, column)) return { table, column }
  throw usage(
    `${table.id} has no column '${column}'.`,
    `It is declared with: ${Object.keys(table.columns).join(', ')}.`,
  )
}

function nodesOf(graph: Graph): readonly EntityNode[] {
  return [...graph.entities.values()]
}

/** Of a table: its rows as such, and each column that feeds something. */
function fedByTable(graph: Graph, { id, columns }: Table) {
  const whole: readonly ReadColumn[] = [null, ...Object.keys(columns)].map((column) => ({ table: id, column }))
  return whole
    .map((column) => ({ column, ...fedBy(nodesOf(graph), column) }))
    .filter(({ features }) => features.length > 0)
}

interface Shown {
  readonly json: unknown
  readonly text: string
}

function ofTable(graph: Graph, { table, column }: { readonly table: Table; readonly column: string | null }): Shown {
  if (column !== null) {
    const read = { table: table.id, column }
    const fed = fedBy(nodesOf(graph), read)
    return { json: { column: read, ...fed }, text: renderColumn(read, fed) }
  }
  const columns = fedByTable(graph, table)
  const text = columns.map(({ column: read, ...fed }) => renderColumn(read, fed)).join('\n\n')
  return { json: { table: table.id, columns }, text: text === '' ? `${table.id} feeds nothing` : text }
}

/** @throws RescoreError CLI_USAGE */
function lineageNamed(graph: Graph, what: string): Shown {
  const found = tableNamed(graph, what)
  if (found !== null) return ofTable(graph, found)
  const model = modelLineageOf(nodesOf(graph), what.replace(/^model /, ''))
  if (model !== null) return { json: model, text: renderModel(model) }
  const { node, features } = resolveTarget(graph, [what])
  const wanted = node.features.filter(({ feature }) => features.length === 0 || features.includes(feature.name))
  const lineages = wanted.map((one) => lineageOf(node, one))
  return { json: lineages, text: lineages.map(renderLineage).join('\n\n') }
}

export function lineageCommand(): Command {
  return command('lineage', 'What feeds a feature or a model, to the column, and what a column or a feature feeds', [
    ['rescore lineage company.team_size', 'up and down from one feature; or the name of a model'],
    ['rescore lineage public.companies.employees', 'every feature and model that a column feeds; or a whole table'],
  ])
    .argument('<what>', 'a feature, an entity, a model, or a table or column as schema.table.column')
    .action(async (what: string, { json }: Common) => {
      const shown = lineageNamed(compileGraph(await loadProject(process.cwd())), what)
      if (json === true) printJson(shown.json)
      else print(shown.text)
    })
}
