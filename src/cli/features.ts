/** `rescore features`: what there is. `rescore lineage`: what feeds what. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { compileGraph } from '../graph/compile.ts'
import type { Graph } from '../graph/graph.ts'
import { type FeatureLineage, lineageOf, readersOf } from '../graph/lineage.ts'
import { type CatalogEntry, readCatalog } from '../observe/catalog.ts'
import { resolveTarget } from './backfill-target.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { paint, print, printJson, table } from './output.ts'

const percent = (share: number | null) => (share === null ? '-' : `${(share * 100).toFixed(1)} %`)

function versionText({ version, deployedVersion, edit }: CatalogEntry): string {
  if (edit !== 'none') return `${version} (edited${edit === 'equivalent' ? ', equivalent' : ''})`
  if (deployedVersion === version) return String(version)
  return deployedVersion === null ? `${version} (not deployed)` : `${version} (deployed ${deployedVersion})`
}

function freshText({ rows, fresh, backfill }: CatalogEntry): string {
  if (rows === null || fresh === null) return '-'
  const waiting = backfill === null ? '' : `, backfill ${backfill}`
  return fresh === rows ? `all ${rows}` : `${fresh} of ${rows}${waiting}`
}

export function renderCatalog(entries: readonly CatalogEntry[]): string {
  const header = ['feature', 'type', 'version', 'up to date', 'null', 'lag', 'cut off', 'reads', 'read by', 'what']
  const short = (text: string, length: number) => (text.length > length ? `${text.slice(0, length - 1)}…` : text)
  const rows = entries.map((entry) => [
    `${entry.entity}.${entry.feature}`,
    entry.type,
    versionText(entry),
    freshText(entry),
    percent(entry.nullRate),
    entry.lagSeconds === null ? '-' : `${entry.lagSeconds.toFixed(2)} s`,
    percent(entry.cutOffRatio),
    short(entry.reads.join(', '), 60),
    short(entry.readBy.join(', '), 40),
    short(entry.description, 60),
  ])
  return table(header, rows)
}

export function renderLineage({ entity, feature, inputs, columns, above, below, models }: FeatureLineage): string {
  const list = (items: readonly string[]) => (items.length === 0 ? ['  nothing'] : items.map((item) => `  ${item}`))
  return [
    paint(`${entity}.${feature}`, 'bold'),
    'reads',
    ...list(inputs.map(({ alias, text }) => `${alias}: ${text}`)),
    'fed by columns, directly or through features',
    ...list(columns.map((one) => (one.column === null ? `${one.table} (its rows)` : `${one.table}.${one.column}`))),
    ...(above.length === 0 ? [] : ['fed by features', ...list(above.map((name) => `${entity}.${name}`))]),
    'feeds',
    ...list([...below.map((name) => `${entity}.${name}`), ...models.map((name) => `model ${name}`)]),
  ].join('\n')
}

/** `schema.table.column` of some table that is read, or null. */
function columnNamed(graph: Graph, text: string) {
  const found = graph.tables.find(({ id }) => text.startsWith(`${id}.`))
  if (found === undefined) return null
  const column = text.slice(found.id.length + 1)
  return Object.hasOwn(found.columns, column) ? { table: found.id, column } : null
}

export function featuresCommand(): Command {
  return command('features', 'The catalog: what each feature is, reads and feeds, and how its stored values are', [
    ['rescore features', 'version, up to date, null rate, lag, share of computations that changed nothing'],
    ['rescore features --json', 'the same with whole lists, for a catalog of your own'],
  ]).action(async ({ json }: Common) => {
    const entries = await withConnection(async ({ pool }) => {
      await pool.query('select 1')
      return readCatalog(pool, compileGraph(await loadProject(process.cwd())))
    })
    if (json === true) printJson(entries)
    else print(renderCatalog(entries))
  })
}

export function lineageCommand(): Command {
  return command('lineage', 'What feeds a feature, to the column, and what it feeds, to the models', [
    ['rescore lineage company.team_size', 'up and down from one feature'],
    ['rescore lineage public.companies.employees', 'every feature that a column feeds'],
  ])
    .argument('<what>', 'a feature, or a column as schema.table.column')
    .action(async (what: string, { json }: Common) => {
      const graph = compileGraph(await loadProject(process.cwd()))
      const column = columnNamed(graph, what)
      if (column !== null) {
        const readers = readersOf(graph.entities.values(), column)
        if (json === true) return printJson({ column, readers })
        return print([`${what} feeds`, ...readers.map(({ entity, feature }) => `  ${entity}.${feature}`)].join('\n'))
      }
      const { node, features } = resolveTarget(graph, [what])
      const wanted =
        features.length === 0 ? node.features : node.features.filter((one) => features.includes(one.feature.name))
      const found = wanted.map((one) => lineageOf(node, one))
      if (json === true) printJson(found)
      else print(found.map(renderLineage).join('\n\n'))
    })
}
