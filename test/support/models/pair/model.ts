/** The smallest model tests score with: three inputs of one table, two classes; make.py says what it computes. */
import {
  boolean,
  defineEntity,
  defineFeature,
  defineModel,
  defineTable,
  integer,
  number,
} from '../../../../src/define/index.ts'

export const shops = defineTable({
  name: 'crm.shops',
  columns: { id: integer().notNull(), amount: number(), visits: integer(), is_partner: boolean(), colour: integer() },
  key: 'id',
})
export const shop = defineEntity({ name: 'shop', table: shops })

const spec = { entity: shop, version: 1, description: 'The column as it is' } as const
export const amount = defineFeature({
  ...spec,
  name: 'amount',
  type: 'number',
  inputs: { value: shop.columns.amount },
  compute: ({ value }) => value,
})
export const visits = defineFeature({
  ...spec,
  name: 'visits',
  type: 'integer',
  inputs: { value: shop.columns.visits },
  compute: ({ value }) => value,
})
export const isPartner = defineFeature({
  ...spec,
  name: 'is_partner',
  type: 'boolean',
  inputs: { value: shop.columns.is_partner },
  compute: ({ value }) => value,
})
/** No model reads it. */
export const colour = defineFeature({
  ...spec,
  name: 'colour',
  type: 'integer',
  inputs: { value: shop.columns.colour },
  compute: ({ value }) => value,
})

export const pair = defineModel({
  name: 'pair',
  entity: shop,
  folder: import.meta.url,
  description: 'Whether a shop is busy',
  features: [isPartner, visits, amount],
})
