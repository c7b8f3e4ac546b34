/** What a Singer stream keeps between runs. */
import { z } from 'zod'

export const singerState = z.object({
  /** The value of the tap's last STATE, as the text it wrote; null: none yet. */
  value: z.string().nullable(),
  /** The version of the rows, once one was activated. */
  version: z.string().nullable(),
  /** The listing that is being made of all rows, if one is: by a version that is not yet activated, or a whole read. */
  listing: z.object({ of: z.string(), name: z.string() }).nullable(),
})
export type SingerState = z.infer<typeof singerState>

export const FIRST_STATE: SingerState = { value: null, version: null, listing: null }
