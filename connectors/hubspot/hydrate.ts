/** Records by id, as they are now, with their edges: what every change, wake-up and request by hand comes down to. */
import type { Message, SourceContext } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { associationMessages } from './associations.ts'
import { fetchRecords, type ObjectType } from './object-type.ts'

/** HubSpot's answer to one hydrate call must stay of a size that fits one transaction. */
export const HYDRATE = 100

/** A delete or merge for each that is not there. */
export async function* hydrate(
  { api, object }: { readonly api: HubspotApi; readonly object: ObjectType },
  context: SourceContext,
  ids: readonly string[],
): AsyncGenerator<Message<never>, void, void> {
  const { records, messages } = await fetchRecords(api, context, object, ids)
  yield* messages
  const present = records.map((record) => record.id)
  yield* await associationMessages(api, context, object, present)
}
