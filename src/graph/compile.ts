/**
 * Compiles definitions into the dependency graph.
 * Invariant: compiling the same definitions gives the same graph; a cycle or two features of one name are refused here,
 * before anything runs.
 */
import { createHash } from 'node:crypto'
import {
  type AnyEntity,
  type AnyFeature,
  type AnyInput,
  columnOf,
  type Hop,
  type ProjectConfig,
  type Table,
} from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import { codeOfText } from './code/code.ts'
import type { EntityNode, FeatureNode, Graph, Reader } from './graph.ts'

function refuse(code: string, message: string, mend: string): RescoreError {
  return new RescoreError({ code, fate: 'stop', message, mend })
}

function inputFeatures(feature: AnyFeature): readonly AnyFeature[] {
  return Object.values(feature.inputs).filter((input): input is AnyFeature => input.input === 'feature')
}

/** Inputs before readers; ties by name, so that the order is stable. */
function inOrder(entity: AnyEntity, given: readonly AnyFeature[]): readonly AnyFeature[] {
  const ordered: AnyFeature[] = []
  const byName = new Map<string, AnyFeature>()
  const visiting: string[] = []
  const visit = (feature: AnyFeature): void => {
    const at = visiting.indexOf(feature.name)
    if (at >= 0) {
      const cycle = [...visiting.slice(at), feature.name].join(' → ')
      throw refuse(
        'GRAPH_CYCLE',
        `Features of ${entity.name} read each other in a cycle: ${cycle}.`,
        'Take one of these inputs out.',
      )
    }
    const known = byName.get(feature.name)
    if (known === feature) return
    if (known !== undefined) {
      throw refuse(
        'GRAPH_DUPLICATE',
        `Entity ${entity.name} has two features named '${feature.name}'.`,
        'Rename one of them.',
      )
    }
    visiting.push(feature.name)
    for (const input of inputFeatures(feature)) visit(input)
    visiting.pop()
    byName.set(feature.name, feature)
    ordered.push(feature)
  }
  for (const feature of [...given].sort((a, b) => (a.name < b.name ? -1 : 1))) visit(feature)
  return ordered
}

/** A declaration as plain data: what of an input can change a value. */
function describeInput(input: AnyInput): unknown {
  if (input.input === 'feature') return { feature: input.name, version: input.version }
  if (input.input === 'column') return { table: input.table.id, column: input.column }
  if (input.input === 'days-since') return { ...input, of: describeInput(input.of) }
  if (input.input === 'period') return input
  const path = input.path.map((hop) => ({
    ...hop,
    table: hop.table.id,
    ...('through' in hop ? { through: hop.through.id } : {}),
  }))
  const { operation, where, window } = input
  return { path, operation, where, ...(window === undefined ? {} : { window }) }
}

/** Of what decides the values of a feature under its inputs; its name and what is said about it do not. */
function hashOf(feature: AnyFeature, code: string | undefined): string {
  const inputs = Object.entries(feature.inputs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([alias, input]) => [alias, describeInput(input)])
  const text = JSON.stringify(
    { type: feature.type, equal: feature.equal, inputs, code: code ?? codeOfText(feature.compute.toString()) },
    (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value),
  )
  return createHash('sha256').update(text).digest('hex')
}

interface Reading {
  readonly table: Table
  readonly path: readonly Hop[]
  readonly viaAssociation: boolean
  readonly columns: readonly string[]
  readonly where: Readonly<Record<string, unknown>> | null
}

/** Every table an input touches, with the columns read there. */
function readings(input: AnyInput): readonly Reading[] {
  if (input.input === 'feature' || input.input === 'period') return []
  if (input.input === 'days-since') return readings(input.of)
  if (input.input === 'column') {
    return [{ table: input.table, path: [], viaAssociation: false, columns: [input.column], where: null }]
  }
  const found: Reading[] = []
  input.path.forEach((hop, index) => {
    const path = input.path.slice(0, index + 1)
    const isLast = index === input.path.length - 1
    if (hop.kind === 'association') {
      const columns = [hop.from, hop.to, ...Object.keys(hop.throughWhere)]
      found.push({ table: hop.through, path, viaAssociation: true, columns, where: hop.throughWhere })
    }
    const columns = hop.kind === 'foreign-key' ? [hop.column] : []
    columns.push(...hop.table.key)
    if (isLast) {
      const { operation } = input
      if ('column' in operation) columns.push(operation.column)
      if ('columns' in operation) columns.push(...operation.columns)
      if ('orderBy' in operation) columns.push(operation.orderBy)
      columns.push(...Object.keys(input.where))
      // Where a row lies in time is no filter on its changes: what is not in the window today may be tomorrow.
      if (input.window !== undefined) columns.push(input.window.on)
    }
    found.push({ table: hop.table, path, viaAssociation: false, columns, where: isLast ? input.where : null })
  })
  return found
}

/** What no order or equality is defined for cannot be aggregated by it. */
function refuseUnordered(feature: AnyFeature): void {
  for (const [alias, input] of Object.entries(feature.inputs)) {
    if (input.input !== 'aggregate') continue
    const { operation } = input
    const table = input.path.at(-1)?.table
    const ordered = 'orderBy' in operation ? operation.orderBy : 'column' in operation ? operation.column : null
    if (table === undefined || ordered === null || columnOf(table, ordered).kind !== 'json') continue
    throw refuse(
      'GRAPH_UNORDERED',
      `Input '${alias}' of feature '${feature.name}' takes ${operation.op} by ${table.id}.${ordered}, which is json.`,
      'Use a column that has an order, or read the json of single rows with latest or top.',
    )
  }
}

function compileEntity(entity: AnyEntity, config: ProjectConfig, given: readonly AnyFeature[]): EntityNode {
  const ordered = inOrder(entity, given)
  ordered.forEach(refuseUnordered)
  const bits = new Map(ordered.map((feature, bit) => [feature, bit]))
  const readersOf = new Map<number, number[]>()
  for (const [feature, bit] of bits) {
    for (const input of inputFeatures(feature)) {
      const of = bits.get(input)
      if (of !== undefined) readersOf.set(of, [...(readersOf.get(of) ?? []), bit])
    }
  }
  const features: FeatureNode[] = ordered.map((feature, bit) => ({
    feature,
    bit,
    readers: [...new Set(readersOf.get(bit) ?? [])],
    hash: hashOf(feature, config.code?.get(feature)),
  }))
  return {
    entity,
    key: entity.table.key[0] ?? 'id',
    featureTable: `rescore.features_${entity.name}`,
    features,
    models: config.models.filter((model) => model.entity.name === entity.name),
  }
}

/** @throws RescoreError GRAPH_CYCLE, GRAPH_DUPLICATE or GRAPH_UNORDERED */
export function compileGraph(config: ProjectConfig): Graph {
  const features = [...config.features, ...config.models.flatMap((model) => model.features)]
  const byEntity = new Map<string, { entity: AnyEntity; features: Set<AnyFeature> }>()
  for (const feature of features) {
    const group = byEntity.get(feature.entity.name) ?? { entity: feature.entity, features: new Set() }
    if (group.entity.table.id !== feature.entity.table.id) {
      throw refuse('GRAPH_DUPLICATE', `Two entities are named '${feature.entity.name}'.`, 'Rename one of them.')
    }
    group.features.add(feature)
    byEntity.set(feature.entity.name, group)
  }
  const entities = new Map(
    [...byEntity].map(([name, group]) => [name, compileEntity(group.entity, config, [...group.features])]),
  )
  const readers = new Map<string, Reader[]>()
  const tables = new Map<string, Table>()
  const keep = (table: Table, reader: Reader) => {
    tables.set(table.id, table)
    readers.set(table.id, [...(readers.get(table.id) ?? []), reader])
  }
  for (const node of entities.values()) {
    // The entity's own row: its existence and key matter whatever is read of it.
    const all = node.features.map(({ bit }) => bit)
    const own = { entity: node.entity.name, path: [], viaAssociation: false, where: null }
    keep(node.entity.table, { ...own, columns: new Set([node.key]), bits: all })
    for (const { feature, bit } of node.features) {
      for (const input of Object.values(feature.inputs)) {
        for (const { table, path, viaAssociation, columns, where } of readings(input)) {
          const reader = {
            entity: node.entity.name,
            path,
            viaAssociation,
            columns: new Set(columns),
            where,
            bits: [bit],
          }
          keep(table, reader)
        }
      }
    }
  }
  return { entities, models: config.models, readers, tables: [...tables.values()] }
}
