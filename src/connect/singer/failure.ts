/**
 * Why a tap ended, by its exit code and its last words on stderr.
 *
 * Invariant: only what says plainly that the credential or the configuration is refused stops the connector; anything
 * else is repeated, because a tap tells a lost connection and a wrong setting apart in its own words only. Pure.
 */
import { SourceError } from '../../define/index.ts'
import type { ProgramEnd } from './program.ts'

/** argparse's own code for words it does not know. */
const USAGE = 2
const LAST_WORDS = 12
const LONGEST = 1_500

const AUTH =
  /\b(401|403)\b[^\n]{0,60}\b(client error|unauthori[sz]ed|forbidden)|\bHTTP(Error)?[: ]{1,2}(status[: ]{1,2}|code[: ]{1,2})?(401|403)\b|unauthori[sz]ed|\bforbidden\b|invalid_(grant|client|token)|(invalid|expired|revoked|bad|wrong)[ _]((api|access)[ _])?(token|key|credentials?)|authentication failed|access denied/i
const CONFIG =
  /config(uration)?[ _]?(validation|is missing|is invalid|invalid|missing|error)|ConfigValidationError|required (config|key|propert|setting)|is a required property|missing required|unrecognized arguments|the following arguments are required|No module named/i

export function lastWords(said: readonly string[]): string {
  return said
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(-LAST_WORDS)
    .join('\n')
    .slice(-LONGEST)
}

export function tapFailure({ code, said }: ProgramEnd, doing: string): SourceError {
  const words = lastWords(said)
  const how = code < 0 ? `was ended by signal ${-code}` : `ended with code ${code}`
  const message = `The tap ${how} while ${doing}.${words === '' ? ' It said nothing on stderr.' : ` Its last words: ${words}`}`
  if (code > 0 && AUTH.test(words)) {
    return new SourceError({
      kind: 'auth',
      code: 'CONNECT_TAP_REFUSED',
      message,
      mend: 'Check the credential in the configuration of this tap and what it is allowed to read.',
    })
  }
  if (code === USAGE || (code > 0 && CONFIG.test(words))) {
    return new SourceError({
      kind: 'config',
      code: 'CONNECT_TAP_CONFIG',
      message,
      mend: 'Check the configuration of this tap against its documentation; its last words are above.',
    })
  }
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_TAP_FAILED',
    message,
    mend: 'It is run again by itself from its last state. If it lasts, its last words say why.',
  })
}

export function stalled(ms: number, doing: string): SourceError {
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_TAP_STALLED',
    message: `The tap said nothing for ${Math.round(ms / 1_000)} s while ${doing}, and was ended.`,
    mend: 'It is run again by itself. If it needs longer between two lines: singer({ stallMs: … }).',
  })
}
