/**
 * Which place an address means: a folder of this machine, or a prefix of a bucket.
 * Invariant: the S3 client is loaded only when an address begins with `s3://`: nothing else pays for it.
 */
import { join, resolve } from 'node:path'
import { LocalPlace } from './local-place.ts'
import type { Access, Place, S3Settings } from './place.ts'

const S3 = 's3://'

export const isS3 = (address: string): boolean => address.startsWith(S3)

/** The folder of the data set `name` under `to`. */
export function placeUnder(to: string, name: string): string {
  return isS3(to) ? `${to.replace(/\/+$/, '')}/${name}` : join(resolve(to), name)
}

/**
 * @param folder absolute path, or `s3://bucket/prefix`
 * @param s3 how the bucket is reached; null: AWS, as the environment says
 * @throws RescoreError DATASET_S3_…
 */
export async function openPlace(folder: string, s3: S3Settings | null, access: Access): Promise<Place> {
  if (!isS3(folder)) return new LocalPlace(folder)
  const { openS3Place } = await import('./s3/place.ts')
  return await openS3Place(folder, s3 ?? { endpoint: null, region: null, pathStyle: false }, access)
}
