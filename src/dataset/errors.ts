/** Errors of data sets. */
import { RescoreError } from '../errors.ts'

export function refuse(code: string, message: string, mend: string, cause?: unknown): RescoreError {
  return new RescoreError({ code, fate: 'stop', message, mend, ...(cause === undefined ? {} : { cause }) })
}

export function lyingThere(folder: string): RescoreError {
  return refuse(
    'DATASET_FOLDER',
    `In ${folder} lies another data set.`,
    'Give another folder or name; a data set is never written over.',
  )
}
