/**
 * Associations as HubSpot answers them: read in batches, each record's paged on its own.
 * Invariant: an answer that is incomplete for any other reason than that there are none is a failure, never "none".
 */
import { z } from 'zod'
import { type SourceContext, SourceError } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { checked, paging } from './records.ts'

const associationPage = z.object({
  results: z.array(
    z.object({
      from: z.object({ id: z.string() }),
      to: z.array(
        z.object({
          toObjectId: z.union([z.string(), z.number()]).transform(String),
          associationTypes: z.array(
            z.object({ category: z.string(), typeId: z.number(), label: z.string().nullish() }),
          ),
        }),
      ),
      paging,
    }),
  ),
  errors: z.array(z.object({ category: z.string().nullish(), subCategory: z.string().nullish() })).nullish(),
})

export interface AssociationEdge {
  readonly to: string
  readonly category: string
  readonly typeId: number
  readonly label: string | null
}

const ASSOCIATION_INPUTS = 1_000

/** Every association of each id; an id without any maps to an empty list. */
export async function readAssociations(
  api: HubspotApi,
  context: SourceContext,
  options: { readonly from: string; readonly to: string; readonly ids: readonly string[] },
): Promise<ReadonlyMap<string, readonly AssociationEdge[]>> {
  const { from, to, ids } = options
  const edges = new Map<string, AssociationEdge[]>(ids.map((id) => [id, []]))
  let inputs: { id: string; after?: string }[] = ids.map((id) => ({ id }))
  while (inputs.length > 0) {
    const batch = inputs.slice(0, ASSOCIATION_INPUTS)
    inputs = inputs.slice(ASSOCIATION_INPUTS)
    const answer = await api.request(context, {
      budget: 'burst',
      method: 'POST',
      path: api.paths.associations(from, to),
      body: { inputs: batch },
    })
    const { results, errors } = checked(associationPage, answer, `The associations of ${from} to ${to}`)
    const odd = (errors ?? []).find(
      (error) => !/NOT_FOUND|NO_ASSOCIATIONS/.test(`${error.category}${error.subCategory}`),
    )
    if (odd !== undefined) {
      throw new SourceError({
        kind: 'transient',
        code: 'HUBSPOT_PARTIAL_ANSWER',
        message: `The associations of ${from} to ${to} came back incomplete: ${odd.category ?? 'no category'}.`,
        mend: 'It is repeated by itself.',
      })
    }
    for (const result of results) {
      const known = edges.get(result.from.id)
      for (const target of result.to) {
        for (const { category, typeId, label } of target.associationTypes) {
          known?.push({ to: target.toObjectId, category, typeId, label: label ?? null })
        }
      }
      const after = result.paging?.next?.after
      if (after !== undefined) inputs.push({ id: result.from.id, after })
    }
  }
  return edges
}
