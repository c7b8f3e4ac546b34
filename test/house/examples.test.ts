/** The example of docs/add-a-feature.md about time compiles, because it is also a file that does. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { defineConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { lineageOf } from '../../src/graph/lineage.ts'
import { attention } from '../support/example-of-time.ts'

test('the example in the document is the one that compiles', () => {
  const document = readFileSync(new URL('../../docs/add-a-feature.md', import.meta.url), 'utf8')
  const source = readFileSync(new URL('../support/example-of-time.ts', import.meta.url), 'utf8')
  const example = source.slice(source.indexOf('\n\n') + 2)
  expect(example).toContain('defineFeature')
  expect(document).toContain(`\`\`\`ts\n${example}\`\`\``)
})

test('what it reads is told to the column, and in words', () => {
  const node = compileGraph(defineConfig({ features: [attention] })).entities.get('company')
  const [feature] = node?.features ?? []
  if (node === undefined || feature === undefined) throw new Error('There is no feature.')
  const { inputs, columns } = lineageOf(node, feature)
  expect(inputs.map(({ text }) => text)).toEqual([
    'count() of hubspot.company_property_history in the last 30d of changed_at by 1d, Europe/Oslo where {"source_type":"CRM_UI"}',
    'days since hubspot.companies.hs_lastmodifieddate, Europe/Oslo',
  ])
  expect(columns.map(({ column }) => column)).toEqual([
    'hs_lastmodifieddate',
    'changed_at',
    'company_id',
    'source_type',
  ])
})
