/**
 * An OpenAPI document from a file or an address: fetched, parsed, told apart from what is none.
 * Invariant: time and bytes are bounded whatever answers; every refusal says what was found and what to do.
 */
import { lookup } from 'node:dns'
import { open } from 'node:fs/promises'
import { attemptHttp } from '../../connect/http/client.ts'
import { Redactor } from '../../connect/http/redact.ts'
import { createTransport } from '../../connect/http/transport.ts'
import type { Guard } from '../../connect/outgoing/guard.ts'
import { asError, RescoreError } from '../../errors.ts'
import { isNode, type Node, textOf } from './schema.ts'

/** The largest published ones (GitHub's, Stripe's) have some 10 MB. */
export const MOST_BYTES = 24 * 1024 * 1024
const TIMEOUT_MS = 60_000

/** The person at the terminal may read what they like, as with curl. */
const OPEN: Guard = { declared: () => lookup, found: () => lookup }

export interface OpenapiDocument {
  readonly document: Node
  readonly from: string
  /** Where it was fetched, for addresses in it that are relative; null: from a file. */
  readonly url: string | null
}

function unreadable(message: string, mend: string, cause?: unknown): RescoreError {
  return new RescoreError({ code: 'CLI_OPENAPI_UNREADABLE', fate: 'stop', message, mend, cause })
}

const tooLarge = (from: string) =>
  unreadable(
    `${from} is larger than ${MOST_BYTES / 1024 / 1024} MB.`,
    'Cut the document down to the paths you want, or begin with --blank.',
  )

async function readUrl(from: string, signal: AbortSignal): Promise<string> {
  using transport = createTransport()
  const settings = { baseUrl: new URL(from).origin, maxBytes: MOST_BYTES }
  const request = { path: from, expect: 'raw', headers: { accept: 'application/json, application/yaml, */*' } } as const
  const ended = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
  try {
    const { value } = await attemptHttp(
      settings,
      request,
      { transport, redactor: new Redactor(), now: Date.now, guard: OPEN },
      ended,
    )
    return value.text
  } catch (thrown) {
    signal.throwIfAborted()
    const error = asError(thrown)
    if ('code' in error && error.code === 'CONNECT_BODY_TOO_LARGE') throw tooLarge(from)
    const why = ended.aborted ? `it did not answer within ${TIMEOUT_MS / 1_000} s` : error.message
    throw unreadable(
      `${from} could not be read: ${why}`,
      'Check the address in a browser, or save the document and give the file.',
      error,
    )
  }
}

async function readLocal(from: string): Promise<string> {
  try {
    await using file = await open(from)
    const { size } = await file.stat()
    if (size > MOST_BYTES) throw tooLarge(from)
    return await file.readFile('utf8')
  } catch (thrown) {
    if (thrown instanceof RescoreError) throw thrown
    throw unreadable(
      `${from} could not be read: ${asError(thrown).message}`,
      'Give a file or an address (https://…) of an OpenAPI document.',
      thrown,
    )
  }
}

/** Imported here alone: most commands never need it. */
async function parseText(text: string, from: string): Promise<unknown> {
  try {
    return JSON.parse(text)
  } catch (json) {
    // YAML takes nearly any text for a string; what begins like JSON or HTML is meant to be nothing else.
    if (/^\s*[{[<]/.test(text)) {
      throw unreadable(
        `${from} is neither JSON nor YAML: ${asError(json).message}`,
        'Give the OpenAPI document itself, not a page about it.',
        json,
      )
    }
  }
  const { parse } = await import('yaml')
  try {
    return parse(text, { logLevel: 'error', maxAliasCount: 1_000 })
  } catch (error) {
    throw unreadable(
      `${from} is neither JSON nor YAML: ${asError(error).message.slice(0, 300)}`,
      'Give an OpenAPI document.',
      error,
    )
  }
}

function checked(parsed: unknown, from: string): Node {
  const refuse = (message: string, mend: string) =>
    new RescoreError({ code: 'CLI_OPENAPI_UNSUPPORTED', fate: 'stop', message: `${from} ${message}`, mend })
  if (!isNode(parsed)) throw refuse('is no OpenAPI document.', 'Give one, or begin with --blank.')
  if (parsed.swagger !== undefined) {
    throw refuse(
      `is Swagger ${String(parsed.swagger)}, not OpenAPI 3.`,
      `Convert it: npx swagger2openapi ${from} -o openapi.json`,
    )
  }
  if (!/^3\./.test(textOf(parsed.openapi) ?? String(parsed.openapi ?? ''))) {
    throw refuse('is no OpenAPI 3 document: it has no "openapi": "3…".', 'Give one, or begin with --blank.')
  }
  return parsed
}

/** @throws RescoreError CLI_OPENAPI_UNREADABLE, CLI_OPENAPI_UNSUPPORTED */
export async function readDocument(from: string, signal: AbortSignal): Promise<OpenapiDocument> {
  const isUrl = /^https?:\/\//i.test(from)
  const text = isUrl ? await readUrl(from, signal) : await readLocal(from)
  return { document: checked(await parseText(text, from), from), from, url: isUrl ? from : null }
}
