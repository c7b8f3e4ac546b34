/**
 * Webhooks of a source, taken as wake-ups: they say which records to read again, never what is in them.
 *
 * Contract. All functions are pure. `refusal` sees headers alone, so that most of what is not genuine costs nothing;
 * `isGenuine` gets the bytes of the body as they came. An event read twice has the same id.
 */
export interface WebhookHeaders {
  /** Names in lower case. */
  readonly [name: string]: string | undefined
}

export interface WebhookCall {
  readonly method: string
  /** With the leading `?`, or empty. */
  readonly query: string
  readonly headers: WebhookHeaders
  readonly body: Uint8Array
}

export interface WebhookEvent {
  /** Equal in every repeat of the event. */
  readonly id: string
  /** Stream whose `read` fetches the record. */
  readonly stream: string
  /** The record's key, as text. */
  readonly key: string
  /** The one value it tells of, where it does: one of our own writing wakes nobody. */
  readonly wrote: { readonly field: string; readonly value: string } | null
}

export interface WebhookReceiver {
  /** Where it is listened for, such as /hubspot. */
  readonly path: string
  /** Largest body, bytes. */
  readonly maxBytes: number
  /** Why a call is refused before its body is read; null: it may be genuine. */
  refusal(headers: WebhookHeaders, nowMs: number): string | null
  isGenuine(call: WebhookCall): boolean
  /** @throws TypeError when the body is not what the source sends */
  events(body: string): readonly WebhookEvent[]
}
