/**
 * Calls written down as lines of JSON, and answered from them again: a run that went wrong somewhere else can be repeated
 * here, without the source.
 *
 * Invariants: no line holds a secret or an Authorization header; a recording holds whole answers only, in the order in
 * which they came; a call that was not recorded is refused, never guessed. Calls that do not go through `context.http`
 * (a client library of its own, a streamed body) are not in it.
 */
import { z } from 'zod'
import { SourceError } from '../../define/index.ts'
import type { Redactor } from './redact.ts'
import type { Transport, WireAnswer, WireRequest } from './transport.ts'

const recordedCall = z.object({
  method: z.string(),
  url: z.string(),
  body: z.string().nullable(),
  answer: z.object({ status: z.number(), headers: z.record(z.string(), z.string()), text: z.string() }),
})
type RecordedCall = z.infer<typeof recordedCall>

/** They may hold a session, and say nothing a replay needs. */
const LEFT_OUT = new Set(['set-cookie', 'www-authenticate'])

const nameOf = ({ method, url, body }: Pick<RecordedCall, 'method' | 'url' | 'body'>) =>
  `${method} ${url}\n${body ?? ''}`

function clean(request: WireRequest, redactor: Redactor): Pick<RecordedCall, 'method' | 'url' | 'body'> {
  const { method, url, body } = request
  return { method, url: redactor.text(url), body: body === undefined ? null : redactor.text(body.toString()) }
}

/** @param write takes a line without its end */
export function recordingTransport(inner: Transport, redactor: Redactor, write: (line: string) => void): Transport {
  return {
    async send(request, signal) {
      const answer = await inner.send(request, signal)
      const headers = Object.entries(answer.headers).filter(([name]) => !LEFT_OUT.has(name))
      const call: RecordedCall = {
        ...clean(request, redactor),
        answer: {
          status: answer.status,
          headers: Object.fromEntries(headers.map(([name, value]) => [name, redactor.text(value)])),
          text: redactor.text(answer.text),
        },
      }
      write(JSON.stringify(call))
      return answer
    },
    open: (request, signal) => inner.open(request, signal),
    [Symbol.dispose]: () => inner[Symbol.dispose](),
  }
}

/**
 * Answers each call as it was answered, in order; the last answer of a call is given again when it is asked once more.
 * @throws ZodError or SyntaxError when a line is not of a recording
 */
export function replayingTransport(lines: readonly string[], redactor: Redactor): Transport {
  const notRecorded = ({ method, url }: Pick<RecordedCall, 'method' | 'url'>) =>
    new SourceError({
      kind: 'config',
      code: 'CONNECT_NOT_RECORDED',
      message: `The recording holds no answer to ${method} ${url}.`,
      mend: 'Replay with the options, the checkpoint and the base URL the recording was made with.',
    })
  const answers = new Map<string, WireAnswer[]>()
  for (const line of lines) {
    if (line === '') continue
    const call = recordedCall.parse(JSON.parse(line))
    answers.set(nameOf(call), [...(answers.get(nameOf(call)) ?? []), call.answer])
  }
  return {
    async send(request, signal) {
      signal.throwIfAborted()
      const call = clean(request, redactor)
      const left = answers.get(nameOf(call))
      const answer = left === undefined || left.length > 1 ? left?.shift() : left[0]
      if (answer !== undefined) return answer
      throw notRecorded(call)
    },
    open: (request) => Promise.reject(notRecorded(clean(request, redactor))),
    [Symbol.dispose]: () => undefined,
  }
}
