/** Errors of data sets, and which of them an error of the file system is. */
import { RescoreError } from '../errors.ts'

export function refuse(code: string, message: string, mend: string, cause?: unknown): RescoreError {
  return new RescoreError({ code, fate: 'stop', message, mend, ...(cause === undefined ? {} : { cause }) })
}

/** An error of the file system, about the folder of a data set; any other as it is. */
export function aboutFolder(folder: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error
  return refuse(
    'DATASET_FOLDER',
    `The folder ${folder} cannot be used: ${error.message}.`,
    'See that it is there, has room and is yours; then the same command.',
    error,
  )
}
