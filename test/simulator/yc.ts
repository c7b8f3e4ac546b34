/**
 * A portal from the public record of the Y Combinator directory, and its dated changes as edits in the CRM.
 *
 * Invariant: the mapping of fields to properties, and which changes count as imports, are those the models were trained
 * with (models/training/frame.py): a change here without a new training makes features mean something else.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { isObject } from './body.ts'
import { SimulatorClock } from './clock.ts'
import { Portal } from './portal.ts'
import type { PortalOptions } from './store.ts'
import type { PropertyInputs } from './values.ts'

const FIRST_DATE = '2023-01-29'
const COMPANIES = `companies-${FIRST_DATE}.jsonl.gz`
const CHANGES = 'changes.jsonl.gz'

const PROPERTY: Readonly<Record<string, string>> = {
  name: 'name',
  website: 'website',
  all_locations: 'city',
  one_liner: 'yc_one_liner',
  long_description: 'description',
  team_size: 'numberofemployees',
  industry: 'industry',
  subindustry: 'yc_subindustry',
  launched_at: 'yc_launched_at',
  tags: 'yc_tags',
  top_company: 'yc_top_company',
  isHiring: 'yc_is_hiring',
  nonprofit: 'yc_nonprofit',
  batch: 'yc_batch',
  status: 'yc_status',
  regions: 'yc_regions',
  stage: 'yc_stage',
}

/** Edits that the publisher of the directory made to very many companies at once, by date and property. */
const MASS_EDITS: ReadonlySet<string> = new Set([
  '2023-02-13 yc_tags',
  '2023-03-13 yc_tags',
  '2023-04-05 yc_tags',
  '2023-09-13 yc_launched_at',
  '2023-09-13 city',
  '2023-09-13 industry',
  '2023-09-13 yc_subindustry',
  '2023-10-13 city',
  '2024-05-13 yc_top_company',
  '2025-05-13 yc_batch',
])
const SET_BY_PUBLISHER: ReadonlySet<string> = new Set([
  'yc_top_company',
  'yc_stage',
  'yc_batch',
  'yc_launched_at',
  'yc_status',
])

export interface YcChange {
  /** YYYY-MM-DD */
  readonly date: string
  readonly op: 'insert' | 'update' | 'delete'
  readonly id: number
  readonly fields: Readonly<Record<string, unknown>>
}

/** All changes of one date, in order. */
export interface YcDay {
  readonly date: string
  /** Midnight UTC, ms since 1970: what the portal's clock should say. */
  readonly atMs: number
  readonly changes: readonly YcChange[]
}

const midnight = (date: string): number => Date.parse(`${date}T00:00:00Z`)

type Line = Readonly<Record<string, unknown>>

/** Split at line feeds alone: texts hold U+2028, which line readers take for an end of line. */
async function linesOf(file: string): Promise<readonly Line[]> {
  const text = (await promisify(gunzip)(await readFile(file))).toString('utf8')
  return text.split('\n').flatMap((line) => {
    if (line === '') return []
    const value: unknown = JSON.parse(line)
    if (!isObject(value)) throw new Error(`${file} holds a line that is no object.`)
    return [value]
  })
}

function crmValue(field: string, value: unknown): string | number | boolean | null {
  if (Array.isArray(value)) return value.join(';')
  if (field === 'launched_at' && typeof value === 'number') return value * 1_000
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
}

/** 'London, England, United Kingdom; Remote' is in the United Kingdom. */
function countryOf(locations: unknown): string | null {
  const [first = ''] = typeof locations === 'string' ? locations.split(';') : []
  return first.split(',').at(-1)?.trim() || null
}

function propertiesOf(fields: Readonly<Record<string, unknown>>): PropertyInputs {
  const values: Record<string, string | number | boolean | null> = {}
  for (const [field, value] of Object.entries(fields)) {
    const name = Object.hasOwn(PROPERTY, field) ? PROPERTY[field] : undefined
    if (name !== undefined) values[name] = crmValue(field, value)
  }
  if (Object.hasOwn(fields, 'all_locations')) values.country = countryOf(fields.all_locations)
  return values
}

function idOf(fields: Readonly<Record<string, unknown>>): number {
  if (typeof fields.id !== 'number') throw new Error('A company of the directory has no id.')
  return fields.id
}

/** Ids are the directory's. The clock stands at the day of the snapshot unless one is given. */
export async function loadYcPortal(folder: string, options: PortalOptions = {}): Promise<Portal> {
  const atMs = midnight(FIRST_DATE)
  const portal = new Portal({ ...options, clock: options.clock ?? SimulatorClock.frozenAt(atMs) })
  for (const company of await linesOf(join(folder, COMPANIES))) {
    portal.create('companies', propertiesOf(company), { id: idOf(company), source: 'IMPORT', atMs })
  }
  return portal
}

export async function ycChanges(folder: string): Promise<readonly YcDay[]> {
  const days = new Map<string, YcChange[]>()
  for (const line of await linesOf(join(folder, CHANGES))) {
    const { date, op, fields } = line
    if (typeof date !== 'string' || (op !== 'insert' && op !== 'update' && op !== 'delete')) {
      throw new Error(`${CHANGES} holds a line that is no change: ${JSON.stringify(line).slice(0, 100)}`)
    }
    const changes = days.get(date) ?? []
    days.set(date, changes)
    changes.push({ date, op, id: idOf(line), fields: isObject(fields) ? fields : {} })
  }
  return [...days]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([date, changes]) => ({ date, atMs: midnight(date), changes }))
}

/** As an edit, a new record or an archived one, at the portal's present time. */
export function applyYcChange(portal: Portal, change: YcChange): void {
  const { date, op, id, fields } = change
  if (op === 'delete') {
    portal.archive('companies', id)
    return
  }
  const properties = propertiesOf(fields)
  const known = portal.find('companies', id)
  if (op === 'insert') {
    if (known === undefined) portal.create('companies', properties, { id, source: 'IMPORT' })
    else {
      // Listed again after it had gone.
      if (known.archivedMs !== null) portal.restore('companies', id)
      portal.edit('companies', id, properties, { source: 'IMPORT' })
    }
    return
  }
  const published = (property: string) => SET_BY_PUBLISHER.has(property) || MASS_EDITS.has(`${date} ${property}`)
  const source = (property: string) => (published(property) ? 'IMPORT' : 'CRM_UI')
  portal.edit('companies', id, properties, { source })
}
