/**
 * Observes classifications from outside: one changed row of a company in, the time its classification became visible out.
 *
 * How: a trigger that exists only in bench databases sends a NOTIFY for each row of rescore.classification
 * that a change has moved; PostgreSQL delivers it after the commit, when any other session can see the row. The trigger's cost and the delivery
 * count against the service. Both ends are clocked in this process.
 */
import { createClient, type Pool } from '../src/db/pool.ts'

const CLASSIFIED = 'bench_classified'
const COMPUTED = 'bench_computed'

/** @param when which updated rows are told of */
function trigger(channel: string, table: string, when: string): string {
  return `
create or replace function public.${channel}() returns trigger language plpgsql as
  $$begin if ${when} then perform pg_notify('${channel}', new.key::text); end if; return null; end$$;
drop trigger if exists ${channel} on ${table};
create trigger ${channel} after update on ${table} for each row execute function public.${channel}();`
}

/** A backfill writes thousands of rows a second that nobody waits for. */
const JUST_CHANGED = `exists (select from public.companies c where c.id = new.key::bigint
  and c.updated_at > clock_timestamp() - interval '30 s')`
/** A change moves it; a backfill does only where it meets the change before its own batch does. */
const IS_OTHER = 'new.is_hiring is distinct from old.is_hiring'

export interface Sample {
  /** Milliseconds from the source's commit being acknowledged to the notification; below 0 when the latter came first. */
  readonly fromCommit: number
  /** Milliseconds from sending the change, which includes the source's own commit. */
  readonly fromSend: number
  /** As `fromCommit`, to the feature row; null: not watched. */
  readonly toFeatures: number | null
}

export interface Classified extends AsyncDisposable {
  /**
   * Commits a change that moves the classification of company `id`, and waits until that is visible.
   * null: not within `timeoutMs`. One change per company at a time.
   */
  change(id: number, timeoutMs: number): Promise<Sample | null>
}

/** is_hiring splits near the root of most trees of the model, so the probability moves whatever the rest is. */
const CHANGE = {
  name: 'bench-change',
  text: 'update public.companies set is_hiring = not is_hiring, updated_at = clock_timestamp() where id = $1',
}

/** @param beside a backfill runs: feature rows are watched too, and of classifications only those of companies that changed */
export async function watchClassified(pool: Pool, url: string, beside = false): Promise<Classified> {
  await pool.query(trigger(CLASSIFIED, 'rescore.classification', beside ? JUST_CHANGED : 'true'))
  if (beside) await pool.query(trigger(COMPUTED, 'rescore.features_company', IS_OTHER))
  const listener = createClient({ url, applicationName: 'rescore bench observer' })
  await listener.connect()
  await listener.query(`listen ${CLASSIFIED}; listen ${COMPUTED}`)
  const waiting = new Map<string, (atMs: number) => void>()
  const computed = new Map<string, number>()
  listener.on('notification', ({ channel, payload = '' }) => {
    const atMs = performance.now()
    if (channel === COMPUTED) computed.set(payload, atMs)
    // A score that a backfill has moved before the change came to be computed is not what is waited for.
    else if (!beside || computed.has(payload)) {
      waiting.get(payload)?.(atMs)
      waiting.delete(payload)
    }
  })
  return {
    change: async (id, timeoutMs) => {
      const seen = Promise.withResolvers<number | null>()
      waiting.set(String(id), seen.resolve)
      computed.delete(String(id))
      const late = setTimeout(() => {
        waiting.delete(String(id))
        seen.resolve(null)
      }, timeoutMs)
      const sentMs = performance.now()
      await pool.query({ ...CHANGE, values: [id] })
      const committedMs = performance.now()
      const seenMs = await seen.promise
      clearTimeout(late)
      if (seenMs === null) return null
      const computedMs = computed.get(String(id))
      const toFeatures = computedMs === undefined ? null : computedMs - committedMs
      return { fromCommit: seenMs - committedMs, fromSend: seenMs - sentMs, toFeatures }
    },
    [Symbol.asyncDispose]: () => listener.end(),
  }
}
