/**
 * Observes classifications from outside: one changed row of a company in, the time its classification became visible out.
 *
 * How: a trigger that exists only in bench databases sends a NOTIFY for each updated row of rescore.classification;
 * PostgreSQL delivers it after the commit, when any other session can see the row. The trigger's cost and the delivery
 * count against the service. Both ends are clocked in this process.
 */
import { createClient, type Pool } from '../src/db/pool.ts'

const TRIGGER = `
create or replace function public.bench_classified() returns trigger language plpgsql as
  $$begin perform pg_notify('bench_classified', new.key); return null; end$$;
drop trigger if exists bench_classified on rescore.classification;
create trigger bench_classified after update on rescore.classification for each row
  execute function public.bench_classified();`

export interface Sample {
  /** Milliseconds from the source's commit being acknowledged to the notification; below 0 when the latter came first. */
  readonly fromCommit: number
  /** Milliseconds from sending the change, which includes the source's own commit. */
  readonly fromSend: number
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

export async function watchClassified(pool: Pool, url: string): Promise<Classified> {
  await pool.query(TRIGGER)
  const listener = createClient({ url, applicationName: 'rescore bench observer' })
  await listener.connect()
  await listener.query('listen bench_classified')
  const waiting = new Map<string, (atMs: number) => void>()
  listener.on('notification', ({ payload = '' }) => {
    const atMs = performance.now()
    waiting.get(payload)?.(atMs)
    waiting.delete(payload)
  })
  return {
    change: async (id, timeoutMs) => {
      const seen = Promise.withResolvers<number | null>()
      waiting.set(String(id), seen.resolve)
      const late = setTimeout(() => {
        waiting.delete(String(id))
        seen.resolve(null)
      }, timeoutMs)
      const sentMs = performance.now()
      await pool.query({ ...CHANGE, values: [id] })
      const committedMs = performance.now()
      const seenMs = await seen.promise
      clearTimeout(late)
      return seenMs === null ? null : { fromCommit: seenMs - committedMs, fromSend: seenMs - sentMs }
    },
    [Symbol.asyncDispose]: () => listener.end(),
  }
}
