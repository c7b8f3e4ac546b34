/** Lineage of the test project, up to the columns and down to the models. */
import { expect, test } from 'vitest'
import { projectConfig } from '../../test/support/project-features.ts'
import { compileGraph } from './compile.ts'
import { fedBy, lineageOf, modelLineageOf, readersOf } from './lineage.ts'

const graph = compileGraph(projectConfig)

function of(name: string) {
  const node = graph.entities.get('company')
  const found = node?.features.find(({ feature }) => feature.name === name)
  if (node === undefined || found === undefined) throw new Error(`There is no ${name}.`)
  return lineageOf(node, found)
}

const texts = (name: string) => of(name).columns.map(({ table, column }) => `${table}.${column}`)

test('a feature of features is fed by their columns too, and feeds nobody', () => {
  expect(of('profile')).toMatchObject({ above: ['pieces', 'size', 'visits'], below: [], models: [] })
  expect(texts('profile')).toEqual([
    'app.company.employees',
    'app.company.founded_at',
    'app.company.revenue',
    'app.company_deal.company_id',
    'app.company_deal.deal_id',
    'app.contact.company_id',
    'app.event.contact_id',
    'app.event.kind',
    'app.item.deal_id',
    'app.item.quantity',
  ])
})

test('an aggregate is fed by its path, its filter and its order; the models that read it are named', () => {
  expect(of('visits')).toMatchObject({ below: ['profile'], models: ['pair'] })
  expect(of('visits').inputs).toEqual([
    {
      alias: 'count',
      text: 'count() of app.event through app.contact where {"kind":{"in":["visit","call"]}}',
      feature: null,
    },
  ])
  expect(texts('last_stage')).toContain('app.deal.closed_on')
})

test('every column that the graph listens to for a feature is in its lineage, and the other way round', () => {
  for (const node of graph.entities.values()) {
    for (const featureNode of node.features) {
      const { feature, bit } = featureNode
      const heard = new Set(
        [...graph.readers].flatMap(([table, readers]) =>
          readers
            .filter((reader) => reader.entity === node.entity.name && reader.bits.includes(bit))
            .flatMap((reader) => [...reader.columns])
            // A row's own key stands for its existence.
            .filter((column) => column !== 'id')
            .map((column) => `${table}.${column}`),
        ),
      )
      const { above, columns } = lineageOf(node, featureNode)
      const direct = columns.filter(({ column }) => column !== null).map(({ table, column }) => `${table}.${column}`)
      for (const column of heard) expect(direct, feature.name).toContain(column)
      if (above.length === 0)
        for (const column of direct) expect([...heard, ...keysOf(column)], feature.name).toContain(column)
    }
  }
})

/** Keys of a path are listened to as the row's existence. */
function keysOf(column: string): readonly string[] {
  return /_id$/.test(column) ? [column] : []
}

test('a column knows the features it feeds', () => {
  const readers = readersOf(graph.entities.values(), { table: 'app.contact', column: 'score' })
  expect(readers.map(({ entity, feature }) => `${entity}.${feature}`).sort()).toEqual([
    'company.active_contacts',
    'company.mean_score',
    'company.mean_text',
    'contact.warmth',
  ])
})

test('a column knows the models it feeds, through features or not, and a model the columns that feed it', () => {
  const nodes = [...graph.entities.values()]
  expect(fedBy(nodes, { table: 'app.event', column: 'kind' })).toMatchObject({ models: ['pair'] })
  expect(fedBy(nodes, { table: 'app.contact', column: 'score' })).toMatchObject({ models: [] })
  const pair = modelLineageOf(nodes, 'pair')
  expect(pair).toMatchObject({ entity: 'company', reads: ['amount', 'visits', 'is_partner'], above: [] })
  expect(pair?.columns).toContainEqual({ table: 'app.event', column: 'kind' })
  expect(modelLineageOf(nodes, 'nobody')).toBeNull()
})
