/**
 * Calculated properties: HubSpot changes them without moving the time of last modification, so no window of modification
 * times tells of them. Where a table declares some, all records of the type are listed again and again.
 * Invariant: a type without calculated properties costs no call. A pass that ends early goes on where it was.
 */
import { z } from 'zod'
import { defineStream, type Stream } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { type ObjectType, readOptionsOf, recordMessages } from './object-type.ts'
import type { Ready } from './ready.ts'
import { listRecords } from './records.ts'

const calculatedState = z.object({ after: z.string().nullable() })
type CalculatedState = z.infer<typeof calculatedState>

export function calculatedStream(options: {
  readonly api: HubspotApi
  readonly object: ObjectType
  readonly everyMs: number
  readonly ready: Ready
}): Stream<CalculatedState> {
  const { api, object, everyMs, ready } = options
  return defineStream<CalculatedState>({
    name: `${object.type}_calculated`,
    tables: [object.table],
    state: { version: 1, schema: calculatedState },
    everyMs,
    priority: 'sweep',
    async *sync(context) {
      const { calculated } = await ready(context)
      if (calculated.length === 0) return
      let after = context.state?.after ?? null
      const read = { ...readOptionsOf(object), history: [] }
      do {
        const { results, paging } = await listRecords(api, context, { ...read, after })
        yield* recordMessages(object, results)
        after = paging?.next?.after ?? null
        yield { op: 'checkpoint', state: { after } }
      } while (after !== null)
    },
  })
}
