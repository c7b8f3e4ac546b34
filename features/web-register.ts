/**
 * Features of a company's entry in the Norwegian register, found by the website the register states for it.
 *
 * Invariant: where several units state one website (a group does), the largest counts, and one that is being wound up
 * counts for all. None of these is an input of the shipped models (see the model cards).
 */
import { subunits, units } from '../connectors/brreg/index.ts'
import { defineFeature } from '../src/define/index.ts'
import { company } from './company-entity.ts'
import { site } from './web-entity.ts'

const entries = site.many(units, { foreignKey: 'domain' })
const places = entries.many(subunits, { foreignKey: 'parent' })

export const registerEmployees = defineFeature({
  entity: company,
  name: 'register_employees',
  version: 1,
  type: 'number',
  description: 'Employees the register states; null when it has no entry or states none',
  inputs: { employees: entries.max('employees') },
  compute: ({ employees }) => employees,
})

export const registerFounded = defineFeature({
  entity: company,
  name: 'register_founded',
  version: 1,
  type: 'number',
  description: 'Year in which it was founded, after the register',
  inputs: { founded: entries.min('founded_on') },
  compute: ({ founded }) => (founded === null ? null : Number(founded.slice(0, 4))),
})

export const registerWorkplaces = defineFeature({
  entity: company,
  name: 'register_workplaces',
  version: 1,
  type: 'integer',
  description: 'Places where it is at work, after the register',
  inputs: { places: places.count() },
  compute: ({ places: count }) => count,
})

export const registerInsolvent = defineFeature({
  entity: company,
  name: 'register_insolvent',
  version: 1,
  type: 'boolean',
  description: 'The register says that it is bankrupt or being wound up',
  inputs: {
    bankrupt: entries.count({ where: { bankrupt: true } }),
    windingUp: entries.count({ where: { winding_up: true } }),
  },
  compute: ({ bankrupt, windingUp }) => bankrupt + windingUp > 0,
})
