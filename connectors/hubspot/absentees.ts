/**
 * Rows that a list of all records leaves out.
 *
 * A list that leaves a record out proves nothing: an answer may be cut short, empty, or older than what another stream
 * has landed. So each such row is looked for by its id, and goes only when HubSpot says itself that it is archived,
 * merged or nowhere.
 * Invariants: no row is deleted on the word of a list; a list that turns out to have ended early is a transient failure;
 * when more records than `mayRemove` of the table are nowhere at once (a token that lost its sight of them looks just
 * like that), the rest is left as it is and said so.
 */
import { type Message, type ReadContext, SourceError } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { associationMessages } from './associations.ts'
import { fetchRecords, type ObjectType } from './object-type.ts'

const AT_ONCE = 100
/** That many of one batch, seen by nobody at the end of the list, and it did not end there. */
const ALIVE_BEYOND_END = 50
/** So many may always go. */
const ALWAYS_MAY_GO = 50

export interface AbsenteeRange {
  readonly after: bigint | null
  /** null: beyond the end of the list. */
  readonly upTo: bigint | null
  readonly present: readonly bigint[]
}

export interface Absentees {
  readonly messages: readonly Message<never>[]
  readonly alive: readonly bigint[]
  /** Found nowhere. */
  readonly gone: number
}

/** Batch after batch of the rows a range leaves out; their messages must be landed before the next is asked for. */
export async function* absentees(
  api: HubspotApi,
  context: ReadContext,
  object: ObjectType,
  { after, upTo, present }: AbsenteeRange,
): AsyncGenerator<Absentees, void, void> {
  const { table } = object
  let from = after
  for (;;) {
    const keys = await context.absent({ table, after: from, upTo, present, limit: AT_ONCE })
    const last = keys.at(-1)
    if (last === undefined) return
    const ids = keys.map(String)
    const found = await fetchRecords(api, context, { ...object, historyProperties: [] }, ids)
    const alive = found.records.map(({ id }) => id)
    const known = alive.filter((id) => ids.includes(id))
    if (upTo === null && known.length >= ALIVE_BEYOND_END) {
      throw new SourceError({
        kind: 'transient',
        code: 'HUBSPOT_LIST_SHORT',
        message: `The list of ${object.type} ended although there are more (such as ${known[0]}), so nothing is swept.`,
        mend: 'It is read again by itself. If it lasts, see https://status.hubspot.com.',
      })
    }
    const edges = await associationMessages(api, context, object, alive)
    yield { messages: [...found.messages, ...edges], alive: known.map(BigInt), gone: found.nowhere.length }
    if (keys.length < AT_ONCE) return
    from = last
  }
}

/**
 * @param before found nowhere and deleted so far
 * @param more found nowhere and still there
 * @throws SourceError HUBSPOT_MASS_REMOVAL
 */
export async function assertMayRemove(
  context: ReadContext,
  object: ObjectType,
  { before, more }: { readonly before: number; readonly more: number },
  mayRemove: number,
): Promise<void> {
  const gone = before + more
  if (more === 0 || gone <= ALWAYS_MAY_GO) return
  const rows = before + (await context.size(object.table))
  if (gone <= mayRemove * rows) return
  throw new SourceError({
    kind: 'transient',
    code: 'HUBSPOT_MASS_REMOVAL',
    message: `${gone} of ${rows} ${object.type} are not to be found any more, more than the ${Math.round(mayRemove * 100)} % that may go at once; the rest stays as it is.`,
    mend: 'If the token lost its sight of them (teams, permissions), give it back. If they are really gone, raise sweepMayRemove of hubspot() for one sweep: rescore sync hubspot <type>_sweep --full',
  })
}
