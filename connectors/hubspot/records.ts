/**
 * The ways records are read: listed, searched for ids, fetched by id. Each answer is against the shape this connector relies on, and a page of another shape is a transient failure, never data.
 */
import { z } from 'zod'
import { type SourceContext, SourceError } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'

const properties = z.record(z.string(), z.string().nullable())
const version = z.object({
  value: z.string().nullish(),
  timestamp: z.string(),
  sourceType: z.string().nullish(),
})
const record = z.object({
  id: z.string(),
  properties,
  propertiesWithHistory: z.record(z.string(), z.array(version)).nullish(),
})
export const paging = z.object({ next: z.object({ after: z.string() }).nullish() }).nullish()
/** Exported for the test that holds `isPage` against it. */
export const page = z.object({ results: z.array(record), paging })

export type HubspotRecord = z.infer<typeof record>
export type HubspotPage = z.infer<typeof page>

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown) => typeof value === 'string'
const isTextOrNull = (value: unknown) => value === null || typeof value === 'string'
const isTextOrNothing = (value: unknown) => value === undefined || isTextOrNull(value)

const isVersion = (value: unknown): boolean =>
  isFields(value) && isText(value.timestamp) && isTextOrNothing(value.value) && isTextOrNothing(value.sourceType)

const areVersions = (value: unknown): boolean => Array.isArray(value) && value.every(isVersion)

function isRecord(value: unknown): boolean {
  if (!isFields(value) || !isText(value.id) || !isFields(value.properties)) return false
  const { propertiesWithHistory: histories } = value
  if (histories !== undefined && histories !== null) {
    if (!isFields(histories) || !Object.values(histories).every(areVersions)) return false
  }
  return Object.values(value.properties).every(isTextOrNull)
}

/**
 * Whether `page` takes the value as it is, at a fraction of its cost: it copies each value of each record. What this
 * refuses, `page` judges and names.
 */
export function isPage(value: unknown): value is HubspotPage {
  if (!isFields(value) || !Array.isArray(value.results) || !value.results.every(isRecord)) return false
  return paging.safeParse(value.paging).success
}

export function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.slice(0, 3).map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new SourceError({
    kind: 'transient',
    code: 'HUBSPOT_UNEXPECTED_ANSWER',
    message: `${what} answered a shape this connector does not know: ${issues.join('; ')}.`,
    mend: 'It is repeated by itself. If it lasts, set HUBSPOT_API_VERSION to a version this connector supports.',
  })
}

const checkedPage = (value: unknown, what: string): HubspotPage => (isPage(value) ? value : checked(page, value, what))

export interface ReadOptions {
  readonly type: string
  readonly properties: readonly string[]
  readonly history: readonly string[]
}

/** With histories HubSpot allows half as many records in one call. */
export function pageSize(options: ReadOptions): number {
  return options.history.length > 0 ? 50 : 100
}

/** One page of all records of a type, ids ascending. */
export async function listRecords(
  api: HubspotApi,
  context: SourceContext,
  options: ReadOptions & { readonly after: string | null; readonly archived?: boolean },
): Promise<HubspotPage> {
  const { type, after, archived = false } = options
  const answer = await api.request(context, {
    budget: 'burst',
    method: 'GET',
    path: api.paths.objects(type),
    query: {
      limit: String(pageSize(options)),
      properties: options.properties.join(','),
      ...(options.history.length > 0 ? { propertiesWithHistory: options.history.join(',') } : {}),
      ...(after === null ? {} : { after }),
      ...(archived ? { archived: 'true' } : {}),
    },
  })
  return checkedPage(answer, `The list of ${type}`)
}

export interface ChangedId {
  readonly id: string
  readonly modifiedMs: number
}

export const SEARCH_LIMIT = 200

/** Ids of records modified within [fromMs, toMs], above `afterId`, ids ascending: a keyset, never an offset. */
export async function searchChanged(
  api: HubspotApi,
  context: SourceContext,
  options: {
    readonly type: string
    readonly cursor: string
    readonly fromMs: number
    readonly toMs: number
    readonly afterId: string
  },
): Promise<readonly ChangedId[]> {
  const { type, cursor, fromMs, toMs, afterId } = options
  const answer = await api.request(context, {
    budget: 'search',
    method: 'POST',
    path: `${api.paths.objects(type)}/search`,
    body: {
      filterGroups: [
        {
          filters: [
            { propertyName: cursor, operator: 'BETWEEN', value: String(fromMs), highValue: String(toMs) },
            { propertyName: 'hs_object_id', operator: 'GT', value: afterId },
          ],
        },
      ],
      sorts: [{ propertyName: 'hs_object_id', direction: 'ASCENDING' }],
      properties: [cursor],
      limit: SEARCH_LIMIT,
    },
  })
  const { results } = checkedPage(answer, `The search for ${type}`)
  return results.map(({ id, properties }) => {
    const modified = properties[cursor] ?? ''
    return { id, modifiedMs: /^\d+$/.test(modified) ? Number(modified) : Date.parse(modified) }
  })
}

/** Fewer records than ids come back when some are archived, gone or merged. */
export async function readRecords(
  api: HubspotApi,
  context: SourceContext,
  options: ReadOptions & { readonly ids: readonly string[]; readonly archived?: boolean },
): Promise<readonly HubspotRecord[]> {
  const { type, properties, history, ids, archived = false } = options
  const answer = await api.request(context, {
    budget: 'burst',
    method: 'POST',
    path: `${api.paths.objects(type)}/batch/read`,
    ...(archived ? { query: { archived: 'true' } } : {}),
    body: { inputs: ids.map((id) => ({ id })), properties, propertiesWithHistory: history },
  })
  return checkedPage(answer, `The batch read of ${type}`).results
}

/** undefined: not there. The id answered differs from the one asked for when the record was merged. */
export async function readRecord(
  api: HubspotApi,
  context: SourceContext,
  options: ReadOptions & { readonly id: string },
): Promise<HubspotRecord | undefined> {
  const { type, id } = options
  const answer = await api.request(context, {
    budget: 'burst',
    method: 'GET',
    path: `${api.paths.objects(type)}/${id}`,
    query: { properties: options.properties.join(',') },
    missingIsUndefined: true,
  })
  return answer === undefined ? undefined : checked(record, answer, `${type} ${id}`)
}
