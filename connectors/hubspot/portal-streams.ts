/**
 * What a portal says of itself beside its records: owners, pipelines with their stages, and the kinds of associations.
 * All are short lists, read whole each time; what a whole list names no more goes.
 * Invariant: a list that is empty where HubSpot cannot have none is a transient failure, never a reason to delete.
 */
import { z } from 'zod'
import { defineStream, type Message, type SourceContext, SourceError, type Stream } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { checked, paging } from './records.ts'
import { associationLabels, owners, pipelineStages, pipelines } from './tables.ts'

const whole = z.object({})
type WholeState = z.infer<typeof whole>
const STATE = { version: 1, schema: whole } as const

const owner = z.object({
  id: z.union([z.string(), z.number()]).transform(String),
  email: z.string().nullish(),
  firstName: z.string().nullish(),
  lastName: z.string().nullish(),
  userId: z.number().nullish(),
  userIdIncludingInactive: z.number().nullish(),
  teams: z.array(z.object({ id: z.string(), name: z.string().nullish(), primary: z.boolean().nullish() })).nullish(),
  archived: z.boolean(),
  createdAt: z.string(),
  updatedAt: z.string(),
})
const ownerPage = z.object({ results: z.array(owner), paging })

interface WholeOptions {
  readonly api: HubspotApi
  readonly everyMs: number
}

const get = (api: HubspotApi, context: SourceContext, path: string, query: Readonly<Record<string, string>> = {}) =>
  api.request(context, { budget: 'burst', method: 'GET', path, query })

const emptyList = (what: string, mend: string) =>
  new SourceError({
    kind: 'transient',
    code: 'HUBSPOT_EMPTY_LIST',
    message: `HubSpot named no ${what}, and there is always one.`,
    mend: `It is read again by itself. If it lasts, ${mend}.`,
  })

export async function readOwners(api: HubspotApi, context: SourceContext, archived: boolean) {
  const found: z.infer<typeof owner>[] = []
  let after: string | undefined
  do {
    const query = { limit: '100', ...(archived ? { archived: 'true' } : {}), ...(after === undefined ? {} : { after }) }
    const page = checked(ownerPage, await get(api, context, api.paths.owners, query), 'The list of owners')
    found.push(...page.results)
    after = page.paging?.next?.after
  } while (after !== undefined)
  return found
}

function listed(table: typeof owners | typeof pipelines | typeof pipelineStages | typeof associationLabels) {
  return (listing: string, keys: readonly Readonly<Record<string, string | number>>[]): readonly Message<never>[] => [
    { op: 'listed', table, listing, keys },
    { op: 'unlisted', table, listing },
  ]
}

export function ownerStream({ api, everyMs }: WholeOptions): Stream<WholeState> {
  return defineStream<WholeState>({
    name: 'owners',
    tables: [owners],
    state: STATE,
    everyMs,
    async *sync(context) {
      const listing = `owners:${context.now()}`
      const all = [...(await readOwners(api, context, false)), ...(await readOwners(api, context, true))]
      if (all.length === 0) throw emptyList('owner of the portal', 'set owners of hubspot() to false')
      for (const one of all) {
        const row = {
          id: one.id,
          email: one.email ?? null,
          first_name: one.firstName ?? null,
          last_name: one.lastName ?? null,
          user_id: one.userId ?? one.userIdIncludingInactive ?? null,
          teams: one.teams ?? null,
          archived: one.archived,
          created_at: one.createdAt,
          updated_at: one.updatedAt,
        }
        yield { op: 'upsert', table: owners, row }
      }
      yield* listed(owners)(
        listing,
        all.map(({ id }) => ({ id })),
      )
      yield { op: 'checkpoint', state: {}, done: all.length, total: all.length }
    },
  })
}

const stage = z.object({
  id: z.string(),
  label: z.string(),
  displayOrder: z.number(),
  archived: z.boolean(),
  updatedAt: z.string(),
  metadata: z.record(z.string(), z.string().nullish()).nullish(),
})
const pipeline = stage.omit({ metadata: true }).extend({ stages: z.array(stage) })
const pipelineList = z.object({ results: z.array(pipeline) })

export async function readPipelines(api: HubspotApi, context: SourceContext, type: string) {
  const answer = await get(api, context, api.paths.pipelines(type))
  const { results } = checked(pipelineList, answer, `The pipelines of ${type}`)
  if (results.length > 0) return results
  throw emptyList(`pipeline of ${type}`, 'take the type out of pipelines of hubspot()')
}

/** @param types whose pipelines are read, such as deals and tickets */
export function pipelineStream({ api, everyMs, types }: WholeOptions & { readonly types: readonly string[] }) {
  return defineStream<WholeState>({
    name: 'pipelines',
    tables: [pipelines, pipelineStages],
    state: STATE,
    everyMs,
    async *sync(context) {
      const listing = `pipelines:${context.now()}`
      const pipelineKeys: Record<string, string>[] = []
      const stageKeys: Record<string, string>[] = []
      for (const type of types) {
        for (const one of await readPipelines(api, context, type)) {
          const key = { object_type: type, id: one.id }
          pipelineKeys.push(key)
          yield { op: 'upsert', table: pipelines, row: { ...key, ...common(one) } }
          for (const step of one.stages) {
            const stageKey = { object_type: type, pipeline_id: one.id, id: step.id }
            stageKeys.push(stageKey)
            const { isClosed, probability, ticketState } = step.metadata ?? {}
            const own = {
              is_closed: isClosed ?? null,
              probability: probability ?? null,
              ticket_state: ticketState ?? null,
            }
            yield { op: 'upsert', table: pipelineStages, row: { ...stageKey, ...common(step), ...own } }
          }
        }
      }
      yield* listed(pipelines)(listing, pipelineKeys)
      yield* listed(pipelineStages)(listing, stageKeys)
      yield { op: 'checkpoint', state: {} }
    },
  })
}

function common({ label, displayOrder, archived, updatedAt }: Omit<z.infer<typeof stage>, 'metadata'>) {
  return { label, display_order: displayOrder, archived, updated_at: updatedAt }
}

const labelList = z.object({
  results: z.array(z.object({ category: z.string(), typeId: z.number(), label: z.string().nullish() })),
})

/** @param pairs whose associations are read */
export function labelStream({
  api,
  everyMs,
  pairs,
}: WholeOptions & { readonly pairs: readonly (readonly [from: string, to: string])[] }): Stream<WholeState> {
  return defineStream<WholeState>({
    name: 'association_labels',
    tables: [associationLabels],
    state: STATE,
    everyMs,
    async *sync(context) {
      const listing = `labels:${context.now()}`
      const keys: Record<string, string | number>[] = []
      for (const [from, to] of pairs) {
        const answer = await get(api, context, api.paths.labels(from, to))
        const { results } = checked(labelList, answer, `The labels from ${from} to ${to}`)
        for (const { category, typeId, label } of results) {
          const key = { from_type: from, to_type: to, category, type_id: typeId }
          keys.push(key)
          yield { op: 'upsert', table: associationLabels, row: { ...key, label: label ?? null } }
        }
      }
      yield* listed(associationLabels)(listing, keys)
      yield { op: 'checkpoint', state: {} }
    },
  })
}
