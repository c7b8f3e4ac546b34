/**
 * What the types promise is checked by `npm run types`: each `@ts-expect-error` is a mistake that must not compile, and
 * an expectation without its error fails the check. What a JavaScript user would meet at run time is checked by vitest.
 */
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  bigint,
  boolean,
  date,
  decimal,
  defineConfig,
  defineEntity,
  defineFeature,
  defineModel,
  defineTable,
  integer,
  json,
  number,
  text,
  timestamp,
} from './index.ts'

const companies = defineTable({
  name: 'crm.companies',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    name: text(),
    size: number(),
    hiring: boolean(),
    founded: date(),
    seen: timestamp(),
    extra: json(),
  },
})
const contacts = defineTable({
  name: 'crm.contacts',
  key: 'id',
  columns: { id: bigint().notNull(), company_id: bigint(), title: text(), score: integer(), paid: decimal() },
})
const deals = defineTable({ name: 'crm.deals', key: 'id', columns: { id: bigint().notNull(), amount: number() } })
const companyDeals = defineTable({
  name: 'crm.company_deals',
  key: ['company_id', 'deal_id'],
  columns: { company_id: bigint().notNull(), deal_id: bigint().notNull(), label: text() },
})
const company = defineEntity({ name: 'company', table: companies })
const people = company.many(contacts, { foreignKey: 'company_id' })
const sales = company.many(deals, { through: companyDeals, from: 'company_id', to: 'deal_id' })
const base = { entity: company, version: 1, description: '' } as const

describe('what compute receives is typed from the declarations', () => {
  test('columns, aggregates and features', () => {
    const size = defineFeature({
      ...base,
      name: 'size',
      type: 'number',
      inputs: { size: company.columns.size },
      compute: (inputs) => {
        expectTypeOf(inputs.size).toEqualTypeOf<number | null>()
        return inputs.size
      },
    })
    defineFeature({
      ...base,
      name: 'typed',
      type: 'boolean',
      inputs: {
        id: company.columns.id,
        founded: company.columns.founded,
        people: people.count({ where: { title: { in: ['CEO'] } } }),
        paid: people.max('paid'),
        top: people.top(2, { columns: ['title', 'score'], orderBy: 'score' }),
        last: people.latest('title', { orderBy: 'id' }),
        amount: sales.sum('amount'),
        mean: sales.avg('amount'),
        size,
      },
      compute: (inputs) => {
        expectTypeOf(inputs.id).toEqualTypeOf<bigint>()
        expectTypeOf(inputs.founded).toEqualTypeOf<string | null>()
        expectTypeOf(inputs.people).toEqualTypeOf<number>()
        expectTypeOf(inputs.paid).toEqualTypeOf<string | null>()
        expectTypeOf(inputs.top).toEqualTypeOf<
          readonly { readonly title: string | null; readonly score: number | null }[]
        >()
        expectTypeOf(inputs.last).toEqualTypeOf<string | null>()
        expectTypeOf(inputs.amount).toEqualTypeOf<number>()
        expectTypeOf(inputs.mean).toEqualTypeOf<number | null>()
        expectTypeOf(inputs.size).toEqualTypeOf<number | null>()
        return null
      },
    })
  })
})

describe('mistakes that do not compile also say what is wrong at run time', () => {
  test.each([
    [
      'a column that is not there',
      // @ts-expect-error the table has no such column
      () => people.sum('scores'),
      /no column 'scores'. It declares: id, company_id/,
    ],
    [
      'a sum of text',
      // @ts-expect-error text cannot be summed
      () => people.sum('title'),
      /sum needs a number; 'crm.contacts.title' is text/,
    ],
    [
      'a filter on a column that is not there',
      // @ts-expect-error the table has no such column
      () => people.count({ where: { titel: 'CEO' } }),
      /no column 'titel'/,
    ],
    [
      'a foreign key that is not there',
      // @ts-expect-error the table has no such column
      () => company.many(contacts, { foreignKey: 'companyid' }),
      /no column 'companyid'/,
    ],
    [
      'an order by a column that is not there',
      // @ts-expect-error the table has no such column
      () => people.top(3, { columns: ['title'], orderBy: 'when' }),
      /no column 'when'/,
    ],
    [
      'a key that is not a column',
      // @ts-expect-error the key is not among the columns
      () => defineTable({ name: 'crm.x', key: 'id', columns: { name: text() } }),
      /Key column 'id'/,
    ],
    [
      'a table without a schema',
      // @ts-expect-error the name has no schema
      () => defineTable({ name: 'x', key: 'id', columns: { id: text() } }),
      /must be 'schema.table'/,
    ],
  ])('%s', (_, mistake, message) => {
    expect(mistake).toThrow(message)
  })

  test('inputs and results of another type do not compile', () => {
    defineFeature({
      ...base,
      name: 'a',
      type: 'number',
      inputs: { name: company.columns.name },
      // @ts-expect-error a text is not a number
      compute: ({ name }) => name,
    })
    defineFeature({
      ...base,
      name: 'b',
      type: 'boolean',
      inputs: { hiring: company.columns.hiring },
      // @ts-expect-error what is not declared cannot be read
      compute: ({ size }) => size === null,
    })
    // @ts-expect-error the value of a filter has the column's type
    people.count({ where: { score: { gte: '3' } } })
    // @ts-expect-error the entity's table has no such column
    expect(company.columns.employees).toBeUndefined()
  })
})

describe('declarations that cannot work are refused where they are written', () => {
  const feature = (name: string, version = 1) =>
    defineFeature({ ...base, name, version, type: 'boolean', inputs: {}, compute: () => true })

  test.each([
    ['a name with a capital', () => feature('Size'), /must be 1 to 40 of a-z/],
    ['a reserved name', () => feature('epoch'), /reserved/],
    ['a version of zero', () => feature('size', 0), /whole version from 1/],
    ['an entity with a key of two columns', () => defineEntity({ name: 'x', table: companyDeals }), /one-column key/],
    [
      'a column of another table',
      () =>
        defineFeature({
          ...base,
          name: 'x',
          type: 'number',
          inputs: { amount: defineEntity({ name: 'deal', table: deals }).columns.amount },
          compute: () => 1,
        }),
      /is a column of crm.deals; its entity is company/,
    ],
    [
      'a feature listed twice in a model',
      () => {
        const once = feature('size')
        return defineModel({
          name: 'm',
          entity: company,
          features: [once, once],
          folder: import.meta.url,
          description: '',
        })
      },
      /lists feature 'size' twice/,
    ],
  ])('%s', (_, declare, message) => {
    expect(declare).toThrow(message)
  })

  test('a module of features may be listed whole; what is no feature is passed over', () => {
    const size = feature('size')
    const config = defineConfig({ features: [{ size, company, helper: () => 1 }, size] })
    expect(config.features).toEqual([size])
  })
})
