/**
 * The portal's property definitions against the declared columns.
 * Invariant: a misspelt property is named with its near matches before anything is read, because HubSpot silently
 * ignores unknown properties in reads and the column would just stay empty.
 */
import { z } from 'zod'
import {
  type ColumnKind,
  type ConnectorProblem,
  type SourceContext,
  SourceError,
  type Table,
} from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { propertiesOf } from './coerce.ts'

const definition = z.object({
  name: z.string(),
  type: z.string(),
  fieldType: z.string().nullish(),
  calculated: z.boolean().nullish(),
  externalOptions: z.boolean().nullish(),
  options: z.array(z.object({ value: z.string() })).nullish(),
})
const definitions = z.object({ results: z.array(definition) })

export type PropertyDefinition = z.infer<typeof definition>

export async function readDefinitions(
  api: HubspotApi,
  context: SourceContext,
  type: string,
): Promise<ReadonlyMap<string, PropertyDefinition>> {
  const answer = await api.request(context, { budget: 'burst', method: 'GET', path: api.paths.properties(type) })
  const parsed = definitions.safeParse(answer)
  if (!parsed.success) {
    throw new SourceError({
      kind: 'transient',
      code: 'HUBSPOT_UNEXPECTED_ANSWER',
      message: `The properties of ${type} came in a shape this connector does not know.`,
      mend: 'It is repeated by itself. If it lasts, set HUBSPOT_API_VERSION to a version this connector supports.',
    })
  }
  return new Map(parsed.data.results.map((property) => [property.name, property]))
}

/** Levenshtein distance. */
export function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1)
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    previous = current
  }
  return previous[right.length] ?? 0
}

/** Up to three names within a third of the length, nearest first. */
export function nearMatches(name: string, known: Iterable<string>): readonly string[] {
  const limit = Math.max(2, Math.ceil(name.length / 3))
  return [...known]
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((left, right) => left.distance - right.distance || left.candidate.localeCompare(right.candidate))
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}

const NUMERIC: readonly string[] = ['number']
const FITS: Readonly<Record<Exclude<ColumnKind, 'text'>, readonly string[]>> = {
  integer: NUMERIC,
  bigint: NUMERIC,
  number: NUMERIC,
  decimal: NUMERIC,
  float: NUMERIC,
  boolean: ['bool'],
  date: ['date', 'datetime'],
  timestamp: ['date', 'datetime'],
  json: ['json', 'string'],
  uuid: ['string'],
}

function fits(kind: ColumnKind, property: PropertyDefinition): boolean {
  if (kind === 'text' || FITS[kind].includes(property.type)) return true
  // Its values are ids of something else, such as owners.
  if (kind === 'bigint' && property.externalOptions === true) return true
  const values = (property.options ?? []).map((option) => option.value.toLowerCase())
  return kind === 'boolean' && values.length > 0 && values.every((value) => value === 'true' || value === 'false')
}

/** Problems of one table; empty when every declared property exists with a type that fits its column. */
export function propertyProblems(
  type: string,
  table: Table,
  history: readonly string[],
  known: ReadonlyMap<string, PropertyDefinition>,
): readonly ConnectorProblem[] {
  const problems: ConnectorProblem[] = []
  for (const name of new Set([...propertiesOf(table), ...history])) {
    const property = known.get(name)
    const column = table.columns[name]
    if (property === undefined) {
      const near = nearMatches(name, known.keys())
      const meant = near.length === 0 ? '' : ` Did you mean ${near.map((match) => `'${match}'`).join(' or ')}?`
      problems.push({
        code: 'HUBSPOT_UNKNOWN_PROPERTY',
        message: `The portal has no property '${name}' on ${type}.${meant}`,
        mend: `Rename the column '${name}' of ${table.id}, or create the property in HubSpot.`,
      })
    } else if (column !== undefined && !fits(column.kind, property)) {
      problems.push({
        code: 'HUBSPOT_PROPERTY_TYPE',
        message: `Property '${name}' of ${type} is a ${property.type} in the portal; ${table.id}.${name} is declared ${column.kind}().`,
        mend: `Declare ${table.id}.${name} as text(), or as a column that holds a ${property.type}.`,
      })
    }
  }
  return problems
}
