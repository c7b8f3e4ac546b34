/**
 * OAUTHBEARER: the token comes from a command of the user's, and the broker's answer to it is read.
 *
 * Invariants: the command is ended when it takes too long; its output and its errors never reach a message, because
 * either may hold the token; callers at the same time share one run; a token is used until shortly before it expires. A
 * broker refuses a token inside a successful answer (RFC 7628), which kafkajs passes over: here it is an error.
 */
import { exec } from 'node:child_process'
import type { Mechanism } from 'kafkajs'
import { RescoreError } from '../../errors.ts'
import { loginRefused } from './errors.ts'
import type { Secret } from './secret.ts'

const COMMAND_TIMEOUT_MS = 10_000
/** A token that ends while it is on its way is refused; an opaque one says nothing of its end. */
const EARLY_MS = 30_000
const OPAQUE_LIFETIME_MS = 60_000
const MAX_TOKEN_BYTES = 1_048_576

interface Token {
  readonly value: string
  /** Milliseconds since 1970. */
  readonly useUntil: number
}

export type TokenSource = () => Promise<string>

function refuse(message: string): RescoreError {
  return new RescoreError({
    code: 'LOG_KAFKA_TOKEN',
    fate: 'retry',
    message,
    mend: 'Run KAFKA_TOKEN_COMMAND by hand: it must print one token on stdout and exit with 0 within 10 seconds.',
  })
}

/** When a JWT says it expires, in milliseconds since 1970; null for anything else. */
function expiryOf(token: string): number | null {
  const payload = token.split('.')[1]
  if (payload === undefined) return null
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    const isDated = typeof claims === 'object' && claims !== null && 'exp' in claims && typeof claims.exp === 'number'
    return isDated ? Number(claims.exp) * 1_000 : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function runCommand(command: Secret, timeoutMs: number): Promise<string> {
  return new Promise((done, fail) => {
    exec(
      command.reveal(),
      { timeout: timeoutMs, maxBuffer: MAX_TOKEN_BYTES, killSignal: 'SIGKILL' },
      (error, stdout) => {
        const token = stdout.trim()
        if (error?.killed === true) fail(refuse(`KAFKA_TOKEN_COMMAND took longer than ${timeoutMs} ms.`))
        else if (error !== null)
          fail(refuse(`KAFKA_TOKEN_COMMAND failed (${error.code ?? error.signal ?? 'unknown'}).`))
        else if (!/^[\x21-\x7e]+$/.test(token)) fail(refuse('KAFKA_TOKEN_COMMAND printed something that is no token.'))
        else done(token)
      },
    )
  })
}

/** Runs the command when there is no token that is still good. */
export function createTokenSource(
  command: Secret,
  timeoutMs: number = COMMAND_TIMEOUT_MS,
  now = Date.now,
): TokenSource {
  let token: Token | null = null
  let running: Promise<string> | null = null
  const renew = async () => {
    const value = await runCommand(command, timeoutMs)
    const expiry = expiryOf(value)
    token = { value, useUntil: expiry === null ? now() + OPAQUE_LIFETIME_MS : expiry - EARLY_MS }
    return value
  }
  return () => {
    if (token !== null && now() < token.useUntil) return Promise.resolve(token.value)
    running ??= renew().finally(() => {
      running = null
    })
    return running
  }
}

/** SASL's frames carry their length in front, as kafkajs hands them over. */
function framed(text: string): Buffer {
  const body = Buffer.from(text)
  const frame = Buffer.alloc(4 + body.length)
  frame.writeInt32BE(body.length)
  body.copy(frame, 4)
  return frame
}

export function oauthMechanism(token: TokenSource): Mechanism {
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: ({ saslAuthenticate }) => ({
      authenticate: async () => {
        const value = await token()
        const answer = await saslAuthenticate({
          request: { encode: () => framed(`n,,\u0001auth=Bearer ${value}\u0001\u0001`) },
          response: {
            decode: (frame) => frame,
            parse: (frame) => (frame.length > 4 ? frame.subarray(4).toString('utf8') : ''),
          },
        })
        // `{"status":"invalid_token"}`; the broker closes the connection after it.
        if (typeof answer === 'string' && answer !== '') {
          const status = /"status"\s*:\s*"([a-z_]+)"/.exec(answer)?.[1] ?? 'refused'
          // `retriable: false` is how kafkajs knows an error as final.
          throw Object.assign(loginRefused(`SASL OAUTHBEARER authentication failed: ${status}`), { retriable: false })
        }
      },
    }),
  }
}
