/**
 * Keeps secrets out of whatever is written down: logs, errors, recordings.
 * Invariant: once a secret is known, no text that went through here holds it, nor its URL or Base64 form.
 */
import type { Connector } from '../../define/index.ts'

const MARK = '[secret]'
/** Shorter ones would blot out ordinary words. */
const SHORTEST = 4
const DEEPEST = 8

export class Redactor {
  readonly #forms = new Set<string>()

  add(secret: string): void {
    if (secret.length < SHORTEST) return
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')])
      this.#forms.add(form)
  }

  text(text: string): string {
    let clean = text
    for (const form of this.#forms) clean = clean.replaceAll(form, MARK)
    return clean
  }

  /** A copy without secrets; errors become what is worth logging of them. */
  value(value: unknown, depth = 0): unknown {
    if (typeof value === 'string') return this.text(value)
    if (typeof value !== 'object' || value === null) return value
    if (depth > DEEPEST) return '[deep]'
    if (Array.isArray(value)) return value.map((part) => this.value(part, depth + 1))
    const entries = value instanceof Error ? { ...value, message: value.message, stack: value.stack } : value
    return Object.fromEntries(
      Object.entries(entries).map(([name, part]) => [this.text(name), this.value(part, depth + 1)]),
    )
  }

  /** The same error, cleaned, with its causes. */
  error<E extends Error>(error: E): E {
    for (let each: unknown = error; each instanceof Error; each = each.cause) {
      const clean = this.text(each.message)
      if (each.stack !== undefined && each.stack !== this.text(each.stack)) each.stack = this.text(each.stack)
      if (clean !== each.message) each.message = clean
    }
    return error
  }
}

const known = new WeakMap<Connector, Redactor>()

/** One for each connector: tokens it gets later are added to it. */
export function redactorOf(connector: Connector): Redactor {
  const found = known.get(connector)
  if (found !== undefined) return found
  const redactor = new Redactor()
  for (const secret of connector.secrets ?? []) redactor.add(secret)
  const auth = connector.http?.auth
  if (auth?.kind === 'bearer') redactor.add(auth.token)
  if (auth?.kind === 'header' || auth?.kind === 'query') redactor.add(auth.value)
  if (auth?.kind === 'basic') {
    redactor.add(auth.password)
    redactor.add(`${auth.user}:${auth.password}`)
  }
  if (auth?.kind === 'oauth') {
    redactor.add(auth.clientSecret)
    if (auth.refreshToken !== undefined) redactor.add(auth.refreshToken)
  }
  known.set(connector, redactor)
  return redactor
}
