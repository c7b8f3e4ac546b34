/**
 * Classifications into properties of HubSpot companies (or another object type whose entity is keyed by its record id).
 *
 * ```ts
 * deliver: [hubspotDelivery({ accessToken, entity: company, fields: { growth_label: label(growth) } })]
 * ```
 * Invariants: group and properties are made where they are missing and never changed; a batch HubSpot refuses is halved
 * until the refused record stands alone; every error of a partial answer (207) ends at its record, and a record HubSpot
 * says nothing of is asked for alone. Records are named by id, never by domain. Writing what is there already does no
 * harm, so a batch whose answer was lost is repeated.
 */
import { z } from 'zod'
import {
  type ConnectorDelivery,
  type DeliveryOutcome,
  type DeliveryRecord,
  type DeliverySpec,
  deliveryBase,
  type SourceContext,
  SourceError,
} from '../../src/define/index.ts'
import { type HubspotApi, hubspotApi } from './api.ts'
import { HUBSPOT_API_VERSION, HUBSPOT_CREDENTIAL, hubspotBudgets } from './limits.ts'
import { readDefinitions } from './properties.ts'

export interface HubspotDeliverySpec extends Omit<DeliverySpec, 'name'> {
  /** Default: hubspot */
  readonly name?: string
  readonly accessToken: string
  /** Default: https://api.hubapi.com */
  readonly baseUrl?: string | undefined
  readonly apiVersion?: string | undefined
  /** Default: companies */
  readonly objectType?: string
  /** The group the properties are made in. Default: rescore, labelled Rescore. */
  readonly group?: { readonly name: string; readonly label: string }
  readonly callsPer10s?: number | undefined
  readonly searchesPerSecond?: number | undefined
}

const BATCH = 100

const batchAnswer = z.object({
  results: z.array(z.object({ id: z.string() })).nullish(),
  errors: z
    .array(
      z.object({
        category: z.string().nullish(),
        message: z.string().nullish(),
        context: z.record(z.string(), z.array(z.string())).nullish(),
      }),
    )
    .nullish(),
})

const isRefusal = (error: unknown): error is SourceError =>
  error instanceof Error && 'code' in error && error.code === 'HUBSPOT_REFUSED'

/** Made by somebody else between our look and our call is as good as made by us. */
async function ensure(there: () => Promise<boolean>, make: () => Promise<unknown>): Promise<void> {
  if (await there()) return
  try {
    await make()
  } catch (error) {
    if (!isRefusal(error) || !(await there())) throw error
  }
}

type Spec = ReturnType<typeof deliveryBase>['fields'][string]

function definitionOf(name: string, { model, value }: Spec, groupName: string): object {
  const what = value === 'label' ? 'classification' : 'probability'
  return {
    name,
    label: `${model.name} ${what}`,
    description: `${what} by the model ${model.name}, kept by Rescore`,
    groupName,
    ...(value === 'label' ? { type: 'string', fieldType: 'text' } : { type: 'number', fieldType: 'number' }),
  }
}

async function ensureProperties(
  api: HubspotApi,
  context: SourceContext,
  type: string,
  group: { readonly name: string; readonly label: string },
  fields: Readonly<Record<string, Spec>>,
): Promise<void> {
  const path = api.paths.properties(type)
  const groupPath = `${path}/groups`
  const known = await readDefinitions(api, context, type)
  for (const [name, field] of Object.entries(fields)) {
    const found = known.get(name)
    const fits = field.value === 'label' ? ['string', 'enumeration'] : ['number', 'string']
    if (found !== undefined && fits.includes(found.type)) continue
    if (found !== undefined) {
      throw new SourceError({
        kind: 'config',
        code: 'HUBSPOT_PROPERTY_TYPE',
        message: `Property '${name}' of ${type} is a ${found.type} in the portal; a ${field.value} is to be written to it.`,
        mend: `Deliver the ${field.value} of ${field.model.name} under another name.`,
      })
    }
    const get = (one: string) => async () =>
      (await api.request(context, { budget: 'burst', method: 'GET', path: one, missingIsUndefined: true })) !==
      undefined
    const post = (to: string, body: object) => () =>
      api.request(context, { budget: 'burst', method: 'POST', path: to, body })
    await ensure(
      get(`${groupPath}/${group.name}`),
      post(groupPath, { name: group.name, label: group.label, displayOrder: -1 }),
    )
    await ensure(get(`${path}/${name}`), post(path, definitionOf(name, field, group.name)))
  }
}

const NOT_THERE = 'HubSpot has no such record: it was archived, deleted or merged.'

/** HubSpot names records by our trace or by their id. */
function failedKeys(context: Readonly<Record<string, readonly string[]>> | null | undefined): readonly string[] {
  return [...(context?.objectWriteTraceId ?? []), ...(context?.ids ?? []), ...(context?.id ?? [])]
}

function bodyOf(records: readonly DeliveryRecord[]): object {
  return {
    inputs: records.map(({ key, changed }) => ({
      id: key,
      objectWriteTraceId: key,
      properties: Object.fromEntries(Object.entries(changed).map(([name, value]) => [name, String(value)])),
    })),
  }
}

/** Keys HubSpot gave no answer for are missing. */
function outcomesOf(answer: unknown, records: readonly DeliveryRecord[]): readonly DeliveryOutcome[] {
  const parsed = batchAnswer.safeParse(answer)
  if (!parsed.success) {
    throw new SourceError({
      kind: 'transient',
      code: 'HUBSPOT_UNEXPECTED_ANSWER',
      message: 'The batch update answered a shape this connector does not know.',
      mend: 'It is repeated by itself. If it lasts, set HUBSPOT_API_VERSION to a version this connector supports.',
    })
  }
  const outcomes = new Map<string, DeliveryOutcome>()
  for (const { id } of parsed.data.results ?? []) outcomes.set(id, { key: id, status: 'written' })
  for (const { category, message, context } of parsed.data.errors ?? []) {
    for (const key of failedKeys(context)) {
      const isGone = category === 'OBJECT_NOT_FOUND'
      const reason = message ?? 'HubSpot gave no reason.'
      if (isGone) outcomes.set(key, { key, status: 'gone', reason: NOT_THERE })
      else outcomes.set(key, { key, status: 'refused', code: 'HUBSPOT_RECORD_REFUSED', reason })
    }
  }
  return records.flatMap(({ key }) => outcomes.get(key) ?? [])
}

async function writeBatch(
  api: HubspotApi,
  context: SourceContext,
  type: string,
  records: readonly DeliveryRecord[],
): Promise<readonly DeliveryOutcome[]> {
  const [first] = records
  if (first === undefined) return []
  const { key } = first
  const halves = async () => {
    const half = Math.ceil(records.length / 2)
    const left = await writeBatch(api, context, type, records.slice(0, half))
    return [...left, ...(await writeBatch(api, context, type, records.slice(half)))]
  }
  let answer: unknown
  try {
    answer = await api.request(context, {
      budget: 'burst',
      method: 'POST',
      path: `${api.paths.objects(type)}/batch/update`,
      body: bodyOf(records),
      missingIsUndefined: true,
    })
  } catch (error) {
    if (!isRefusal(error)) throw error
    if (records.length > 1) return await halves()
    return [{ key, status: 'refused', code: 'HUBSPOT_RECORD_REFUSED', reason: error.message }]
  }
  if (answer === undefined) return records.length > 1 ? await halves() : [{ key, status: 'gone', reason: NOT_THERE }]
  const outcomes = outcomesOf(answer, records)
  const answered = new Set(outcomes.map((outcome) => outcome.key))
  const silent = records.filter((record) => !answered.has(record.key))
  if (silent.length === 0) return outcomes
  if (records.length === 1) {
    // A record that was merged is written under its new id, and answered under it.
    return [{ key, status: 'gone', reason: 'HubSpot answered for another record: it was merged.' }]
  }
  const asked: DeliveryOutcome[] = [...outcomes]
  for (const record of silent) asked.push(...(await writeBatch(api, context, type, [record])))
  return asked
}

export function hubspotDelivery(spec: HubspotDeliverySpec): ConnectorDelivery {
  const { accessToken, baseUrl = 'https://api.hubapi.com', apiVersion = HUBSPOT_API_VERSION } = spec
  const { objectType = 'companies', group = { name: 'rescore', label: 'Rescore' } } = spec
  const base = deliveryBase({ ...spec, name: spec.name ?? 'hubspot' })
  const api = hubspotApi({ accessToken, baseUrl, version: apiVersion })
  const { columns } = base.entity.table
  const mirrored = Object.keys(base.fields).filter((name) => Object.hasOwn(columns, name))
  const modifiedAt = ['hs_lastmodifieddate', 'lastmodifieddate'].find((name) => Object.hasOwn(columns, name))
  return {
    ...base,
    kind: 'connector',
    credential: HUBSPOT_CREDENTIAL,
    budgets: hubspotBudgets(spec),
    batchSize: BATCH,
    mirror: modifiedAt === undefined || mirrored.length === 0 ? null : { columns: mirrored, modifiedAt },
    prepare: (context) => ensureProperties(api, context, objectType, group, base.fields),
    write: (context, records) => writeBatch(api, context, objectType, records),
  }
}
