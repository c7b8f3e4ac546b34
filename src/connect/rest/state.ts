/** What a declared stream keeps between runs. */
import { z } from 'zod'

export const restState = z.object({
  /** Everything modified up to here has been read; null: the first load is not done. */
  fromMs: z.number().nullable(),
  /** The list being read, if a page of it has been committed. `at`: where it goes on. */
  pass: z
    .object({ kind: z.enum(['full', 'changed']), startedMs: z.number(), at: z.string(), done: z.number() })
    .nullable(),
  /** When the list was last read as a whole. */
  sweptMs: z.number().nullable(),
  /** Last position read of the feed, and since when it is read. */
  position: z.string().nullable(),
  sinceMs: z.number().nullable(),
  /** Values looked up, in all. */
  looked: z.number(),
})
export type RestState = z.infer<typeof restState>

export const FIRST_STATE: RestState = {
  fromMs: null,
  pass: null,
  sweptMs: null,
  position: null,
  sinceMs: null,
  looked: 0,
}
