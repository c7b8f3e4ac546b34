/** How far a stream of records has come: in its load, or following by modification times. */
import { z } from 'zod'
import type { HubspotApi } from './api.ts'
import type { ObjectType } from './object-type.ts'
import type { Ready } from './ready.ts'

/** The window being read, if a page of it has been committed. */
const readWindow = z.object({ toMs: z.number(), lastId: z.string() })

export const objectState = z.discriminatedUnion('phase', [
  z.object({
    phase: z.literal('load'),
    /** When the load began: following starts there. */
    startedMs: z.number(),
    after: z.string().nullable(),
    /** The last id of the page before; what rows a page leaves out is known by it. */
    lastId: z.string().nullable(),
    done: z.number(),
    /** Asked for by hand: it ends there, and following is left to the stream's own run. */
    once: z.boolean(),
  }),
  z.object({
    phase: z.literal('follow'),
    /** Everything modified up to here has been read. */
    fromMs: z.number(),
    window: readWindow.nullable(),
  }),
  /** Asked for by hand: everything modified since, up to now, once. */
  z.object({ phase: z.literal('since'), fromMs: z.number(), window: readWindow.nullable() }),
])
export type ObjectState = z.infer<typeof objectState>
export type FollowState = Extract<ObjectState, { phase: 'follow' }>
export type SinceState = Extract<ObjectState, { phase: 'since' }>
export type LoadState = Extract<ObjectState, { phase: 'load' }>

/** The first version's load did not say where its page began: it begins anew. */
export function migrateState(state: unknown): ObjectState | undefined {
  const whole = objectState.safeParse(state)
  if (whole.success) return whole.data
  const load = z.object({ phase: z.literal('load'), startedMs: z.number() }).safeParse(state)
  return load.success ? { ...load.data, phase: 'load', after: null, lastId: null, done: 0, once: false } : undefined
}

export interface ObjectStreamOptions {
  readonly api: HubspotApi
  readonly object: ObjectType
  /** How far behind the clock the search index is trusted. */
  readonly lagMs: number
  /** How far before the start of the load following begins. */
  readonly lookbackMs: number
  readonly everyMs: number
  /** Share of the rows that reading everything anew may find nowhere and delete. */
  readonly mayRemove: number
  readonly ready: Ready
}
