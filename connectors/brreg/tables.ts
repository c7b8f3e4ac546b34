/**
 * Source tables for Enhetsregisteret, the register of Norwegian companies. Only what says something of a company is kept:
 * no names of persons, no telephone numbers, no e-mail addresses.
 */
import { bigint, boolean, date, defineTable, number, text } from '../../src/define/index.ts'

/** Enheter: legal persons, from sole traders to state enterprises. Those that are deleted have no row. */
export const units = defineTable({
  name: 'brreg.units',
  key: 'number',
  columns: {
    /** organisasjonsnummer: nine digits */
    number: text().notNull(),
    name: text(),
    /** Code of the organisasjonsform: AS, ASA, ENK, … */
    form: text(),
    /** null: none are registered, or so few that the register does not say. */
    employees: number(),
    /** Code of naeringskode1 (SN, which is NACE with a fifth digit): 62.010 */
    industry: text(),
    website: text(),
    /** Of the website, as web.company_domains writes it. */
    domain: text(),
    registered_on: date(),
    founded_on: date(),
    vat_registered: boolean(),
    bankrupt: boolean(),
    /** underAvvikling or underTvangsavviklingEllerTvangsopplosning */
    winding_up: boolean(),
    municipality: text(),
    /** overordnetEnhet, of parts of the public sector */
    parent: text(),
  },
})

/** Underenheter: the places where a unit is at work. */
export const subunits = defineTable({
  name: 'brreg.subunits',
  key: 'number',
  columns: {
    number: text().notNull(),
    name: text(),
    /** The unit it belongs to. */
    parent: text(),
    employees: number(),
    industry: text(),
    started_on: date(),
    municipality: text(),
  },
})

/** The register number the CRM states for a company. */
export const companyNumbers = defineTable({
  name: 'brreg.company_numbers',
  key: 'company_id',
  columns: { company_id: bigint().notNull(), stated: text(), number: text() },
})
