/**
 * What a data set is made of: request, definitions, counts and the hash of every file.
 * Invariant: no clock, name or path is in it, so the same request gives the same bytes; its own hash covers the hashes of
 * all files, so it stands for the whole.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'

const count = z.number().int().nonnegative()

const contentSchema = z.object({
  format: z.literal(1),
  entity: z.string(),
  request: z.object({
    /** The file that was given: its bytes and rows. */
    entities: z.object({ sha256: z.string(), rows: count }),
    key: z.string(),
    at: z.string(),
    features: z.array(z.string()),
  }),
  /** As deployed when the data set was made. Values are those that were known then, by whatever definition stood then. */
  features: z.array(z.object({ name: z.string(), type: z.string(), version: count, hash: z.string() })),
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
  rows: z.object({
    served: count,
    rejected: count,
    /** Nothing was known of the entity by then. */
    unknown: count,
    /** The entity had been deleted by then. */
    deleted: count,
    /** Rows of the entity's history were deleted: what has not moved since is null. */
    cut: count,
    /** Values of another type than the feature has now; null. */
    otherType: count,
  }),
  unknown: z.object({ keys: z.array(z.string()), isWhole: z.boolean() }),
  /** Newest row of the history that any value is from. */
  newest: z.object({ recordedAt: z.string(), snapLsn: z.string() }).nullable(),
  files: z.array(z.object({ name: z.string(), rows: count, bytes: count, sha256: z.string() })),
})

export type ManifestContent = z.infer<typeof contentSchema>
export const manifestSchema = contentSchema.extend({ sha256: z.string() })
export type Manifest = z.infer<typeof manifestSchema>

const hashOf = (content: unknown) => createHash('sha256').update(JSON.stringify(content)).digest('hex')

export function sealed(content: ManifestContent): Manifest {
  return { ...content, sha256: hashOf(content) }
}

export const manifestText = (manifest: Manifest) => `${JSON.stringify(manifest, null, 2)}\n`

/** @returns null for a text that is no manifest; `isSound`: its hash is that of its content, member by member in their order */
export function readManifest(text: string): { readonly manifest: Manifest; readonly isSound: boolean } | null {
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
  const parsed = manifestSchema.safeParse(raw)
  if (!parsed.success || typeof raw !== 'object') return null
  const { sha256, ...content } = { sha256: '', ...raw }
  return { manifest: parsed.data, isSound: hashOf(content) === sha256 }
}
