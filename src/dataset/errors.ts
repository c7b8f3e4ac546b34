/** Errors of data sets, and which of them an error of the file system is. */
import { RescoreError } from '../errors.ts'

export function refuse(code: string, message: string, mend: string, cause?: unknown): RescoreError {
  return new RescoreError({ code, fate: 'stop', message, mend, ...(cause === undefined ? {} : { cause }) })
}

/** By code: a lost connection to the database has a system call as well. */
const OF_FILES = new Set([
  ...['EACCES', 'EDQUOT', 'EEXIST', 'EFBIG', 'EIO', 'EISDIR', 'EMFILE'],
  ...['ENAMETOOLONG', 'ENOENT', 'ENOSPC', 'ENOTDIR', 'EPERM', 'EROFS'],
])

/** An error of the file system, about the folder of a data set; any other as it is. */
export function aboutFolder(folder: string, error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error && OF_FILES.has(String(error.code)))) return error
  return refuse(
    'DATASET_FOLDER',
    `The folder ${folder} cannot be used: ${error.message}.`,
    'See that it is there, has room and is yours; then the same command.',
    error,
  )
}
