/**
 * What goes wrong at the source, in the words of a connector.
 * Invariant: refused credentials, rights and set-ups stop the connector with their mend; all else is repeated.
 */
import { SourceError } from '../define/index.ts'
import { isRescoreError } from '../errors.ts'

export function refused(code: string, message: string, mend: string, cause?: unknown): SourceError {
  return new SourceError({ kind: 'config', code, message, mend, ...(cause === undefined ? {} : { cause }) })
}

const codeOf = (error: unknown) =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

/** @param where name of the connector's source, never its URL */
export function asSourceError(thrown: unknown, where: string): unknown {
  if (thrown instanceof SourceError) return thrown
  if (isRescoreError(thrown)) {
    if (thrown.fate !== 'stop') return thrown
    return refused(thrown.code, `At the source ${where}: ${thrown.message}`, thrown.mend, thrown)
  }
  const code = codeOf(thrown)
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (code === '28P01' || code === '28000') {
    return new SourceError({
      kind: 'auth',
      code: 'COPY_LOGIN',
      message: `The source ${where} refuses the login: ${message}`,
      mend: 'Set user and password in the url of the connector, and allow the connection in pg_hba.conf.',
      cause: thrown,
    })
  }
  if (code === '3D000') {
    return refused(
      'COPY_NO_DATABASE',
      `The source ${where}: ${message}`,
      'Name a database that is there in the url.',
      thrown,
    )
  }
  if (code === '42501') {
    const mend = 'Give the role of the url what the message names; `rescore doctor` lists what else it lacks.'
    return refused('COPY_RIGHTS', `The source ${where}: ${message}`, mend, thrown)
  }
  return new SourceError({
    kind: 'transient',
    code: code === '55006' ? 'COPY_SLOT_IN_USE' : 'COPY_UNREACHABLE',
    message: `The source ${where}: ${message}`,
    mend: 'It is repeated by itself. If it lasts, look at that server and the network to it.',
    cause: thrown,
  })
}
