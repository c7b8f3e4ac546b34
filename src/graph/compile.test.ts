import { describe, expect, test } from 'vitest'
import {
  type AnyFeature,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  integer,
  json,
  text,
} from '../define/index.ts'
import { compileGraph } from './compile.ts'
import { valueColumns } from './value-columns.ts'

const companies = defineTable({
  name: 'app.companies',
  key: 'id',
  columns: { id: integer().notNull(), size: integer(), name: text(), unread: text() },
})
const deals = defineTable({
  name: 'app.deals',
  key: 'id',
  columns: {
    id: integer().notNull(),
    company_id: integer(),
    stage: text(),
    n: integer(),
    meta: json(),
    unread: text(),
  },
})
const links = defineTable({
  name: 'app.links',
  key: ['a', 'b'],
  columns: { a: integer().notNull(), b: integer().notNull(), label: text(), unread: text() },
})
const company = defineEntity({ name: 'company', table: companies })
const sales = company.many(deals, { foreignKey: 'company_id' })
const linked = company.many(deals, { through: links, from: 'a', to: 'b', throughWhere: { label: 'x' } })

function feature(name: string, inputs: AnyFeature['inputs'], version = 1): AnyFeature {
  return {
    input: 'feature',
    entity: company,
    name,
    version,
    type: 'integer',
    description: name,
    inputs,
    equal: 'exact',
    expect: null,
    compute: () => null,
  }
}

const graphOf = (...features: AnyFeature[]) => compileGraph(defineConfig({ features }))

describe('the graph', () => {
  test('names the cycle it refuses', () => {
    const inputs: Record<string, AnyFeature> = {}
    const a = feature('a', inputs)
    const b = feature('b', { a })
    inputs.c = feature('c', { b })
    expect(() => graphOf(a)).toThrowError(
      expect.objectContaining({ code: 'GRAPH_CYCLE', message: expect.stringMatching(/a → c → b → a/) }),
    )
  })

  test('refuses two features of one name, also when one is only read by another', () => {
    const twin = feature('same', { size: company.columns.size })
    expect(() => graphOf(feature('reader', { twin }), feature('same', {}))).toThrowError(
      expect.objectContaining({ code: 'GRAPH_DUPLICATE' }),
    )
  })

  test('refuses to order by json', () => {
    const latest = sales.latest('n', { orderBy: 'meta' })
    expect(() => graphOf(feature('a', { latest }))).toThrowError(expect.objectContaining({ code: 'GRAPH_UNORDERED' }))
    expect(() => graphOf(feature('a', { meta: sales.latest('meta', { orderBy: 'n' }) }))).not.toThrow()
  })

  test('puts inputs before readers, and takes in what is only read', () => {
    const base = feature('z_base', { size: company.columns.size })
    const middle = feature('m_middle', { base })
    const top = feature('a_top', { base, middle })
    const node = graphOf(top).entities.get('company')
    expect(node?.features.map(({ feature: { name }, bit, readers }) => [name, bit, readers])).toEqual([
      ['z_base', 0, [1, 2]],
      ['m_middle', 1, [2]],
      ['a_top', 2, []],
    ])
  })

  test('knows which columns of which table feed which feature, and no other', () => {
    const graph = graphOf(
      feature('a', { size: company.columns.size }),
      feature('b', { n: sales.sum('n', { where: { stage: 'won' } }) }),
      feature('c', { n: linked.count() }),
    )
    const fed = (table: string, column: string) =>
      [...new Set(graph.readers.get(table)?.flatMap(({ columns, bits }) => (columns.has(column) ? bits : [])))].sort()
    expect(fed('app.companies', 'size')).toEqual([0])
    expect(fed('app.companies', 'id')).toEqual([0, 1, 2])
    expect(fed('app.companies', 'name')).toEqual([])
    expect(fed('app.deals', 'n')).toEqual([1])
    expect(fed('app.deals', 'stage')).toEqual([1])
    expect(fed('app.deals', 'company_id')).toEqual([1])
    expect(fed('app.deals', 'id')).toEqual([1, 2])
    expect(fed('app.links', 'label')).toEqual([2])
    expect([...graph.readers.values()].flat().some(({ columns }) => columns.has('unread'))).toBe(false)
  })

  test('lists every column whose value a change is read for: keys, ways, filters, what features read', () => {
    const graph = graphOf(
      feature('a', { size: company.columns.size }),
      feature('b', { n: sales.sum('n', { where: { stage: 'won' } }) }),
      feature('c', { n: linked.count() }),
    )
    expect(valueColumns(graph)).toEqual(
      new Map([
        ['app.companies', new Set(['id', 'size'])],
        ['app.deals', new Set(['id', 'company_id', 'n', 'stage'])],
        ['app.links', new Set(['a', 'b', 'label'])],
        ['rescore.features_company', new Set(['key', 'silenced_by'])],
      ]),
    )
  })

  test('gives the same hash for the same declaration, another for another input', () => {
    const hash = (...features: AnyFeature[]) => graphOf(...features).entities.get('company')?.features[0]?.hash
    const declared = () => feature('a', { n: sales.count({ where: { stage: 'won' } }) })
    expect(hash(declared())).toBe(hash(declared()))
    expect(hash(declared())).not.toBe(hash(feature('a', { n: sales.count({ where: { stage: 'lost' } }) })))
  })

  test('compiles defined features with their typed inputs', () => {
    const defined = defineFeature({
      entity: company,
      name: 'double',
      version: 3,
      type: 'integer',
      description: 'Twice the size',
      inputs: { size: company.columns.size },
      compute: ({ size }) => (size === null ? null : size * 2),
    })
    expect(
      graphOf(defined)
        .entities.get('company')
        ?.features.map((node) => node.feature),
    ).toEqual([defined])
  })
})
