/**
 * One attempt of `context.open`: as `context.http`, but the answer is given when it begins and its body read as it comes.
 *
 * Invariant: nothing of the body is held but the chunk in hand; an answer that is a failure is judged by its status like
 * any other, by the little of its body that says why.
 */
import type { CallResult, HttpAnswer, HttpRequest, HttpSettings, HttpStream } from '../../define/index.ts'
import type { AuthEnvironment } from './auth.ts'
import { costOf, exchange, judge } from './client.ts'
import type { WireStream } from './transport.ts'

const DEFAULT_IDLE_MS = 30_000
/** Of the body of a failure. */
const MOST_BYTES = 64 * 1024

async function beginning(stream: WireStream, idleMs: number): Promise<string> {
  let text = ''
  for await (const chunk of stream.body(idleMs)) {
    text += chunk.toString('utf8')
    if (text.length > MOST_BYTES) break
  }
  return text
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // An answer that is not JSON says nothing that could be shown.
    return undefined
  }
}

async function* decoded(stream: WireStream, idleMs: number): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder()
  for await (const chunk of stream.body(idleMs)) yield decoder.decode(chunk, { stream: true })
  yield decoder.decode()
}

async function* nothing(): AsyncGenerator<string, void, void> {}

/** @throws SourceError */
export async function attemptOpen(
  settings: HttpSettings,
  request: HttpRequest,
  environment: AuthEnvironment,
  signal: AbortSignal,
): Promise<CallResult<HttpStream>> {
  const { transport, now } = environment
  const idleMs = request.timeoutMs ?? settings.timeoutMs ?? DEFAULT_IDLE_MS
  const made = await exchange(
    settings,
    { expect: 'raw', ...request },
    environment,
    signal,
    (wire) => transport.open(wire, signal),
    (passed) => passed.drop(),
  )
  const { sent, signed } = made
  const { status, headers } = sent
  const isWhole = status >= 200 && status < 300
  const text = isWhole || status === 304 ? '' : await beginning(sent, idleMs)
  const answer: HttpAnswer = { status, headers, text, body: parsed(text), etag: headers.etag, nextLink: undefined }
  judge(settings, request, made, answer, now())
  signed?.accepted()
  if (!isWhole) sent.drop()
  const chunks = isWhole ? decoded(sent, idleMs) : nothing()
  return { value: { status, headers, etag: headers.etag, chunks }, ...costOf(settings, answer, now()) }
}
