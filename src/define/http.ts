/**
 * A connector's way to the network: declared once, called as `context.http(request)`.
 *
 * The runtime waits for the budget, authenticates, ends what takes too long, caps the body, follows redirects without
 * carrying the credential to another host, names every failure, repeats what is worth repeating and keeps secrets out of
 * everything that is written down.
 */
import type { SourceErrorKind } from './source-error.ts'

/** Credentials are given as values; none of them is ever logged, recorded or put into an error. */
export type HttpAuth =
  /** `Authorization: Bearer <token>` */
  | { readonly kind: 'bearer'; readonly token: string }
  /** `Authorization: Basic …` */
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'header'; readonly name: string; readonly value: string }
  | { readonly kind: 'query'; readonly name: string; readonly value: string }
  /** OAuth 2 by refresh token or client credentials: got before it is needed, and once more when it is refused. */
  | {
      readonly kind: 'oauth'
      /** Absolute, or below the base URL. */
      readonly tokenUrl: string
      readonly clientId: string
      readonly clientSecret: string
      /** Without it: grant_type client_credentials. */
      readonly refreshToken?: string
      readonly scope?: string
    }

export type QueryValue = string | number | bigint | boolean | null | undefined | readonly (string | number | bigint)[]
/** null and undefined leave the parameter out; a list repeats it. */
export type Query = Readonly<Record<string, QueryValue>>

export interface HttpRequest {
  /** Default: GET */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below the base URL (`/companies`), or absolute (a next link). The credential goes only to the base URL's origin. */
  readonly path: string
  readonly query?: Query
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON, text as it is. */
  readonly body?: string | object
  /** Keys of the budgets to draw from, the longest first. Default: the connector's first. */
  readonly budget?: string | readonly string[]
  readonly timeoutMs?: number
  /** Status codes that are answers, not failures, such as 404 where a record may be gone. */
  readonly accept?: readonly number[]
  /** `raw`: `body` is undefined and `text` is what came. Default: JSON. */
  readonly expect?: 'json' | 'raw'
  /** An ETag from before: a 304 comes back as an answer without a body. */
  readonly ifNoneMatch?: string | undefined
}

export interface HttpAnswer {
  /** Where it was answered, after redirects. */
  readonly url?: string
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** Parsed JSON; a number that a JavaScript number cannot hold is a bigint, or text if it has a fraction. */
  readonly body: unknown
  readonly etag: string | undefined
  /** The URL of `rel="next"` in the Link header. */
  readonly nextLink: string | undefined
}

/** An answer whose body is read as it comes, for what no memory should hold at once. */
export interface HttpStream {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly etag: string | undefined
  /**
   * The body as text, unpacked, also where it is a gzip file; empty for an answer without one. It ends only when the body
   * was whole; what breaks on the way is thrown as a transient SourceError, and the pass repeats it. Read once.
   */
  readonly chunks: AsyncIterable<string>
}

/** What a connector knows better about a refused call than its status tells. */
export interface HttpFailure {
  readonly kind: SourceErrorKind
  readonly code?: string
  readonly mend?: string
  /** How long the source wants to be left alone. */
  readonly waitMs?: number
}

export interface HttpSettings {
  readonly baseUrl: string
  readonly auth?: HttpAuth
  /**
   * Hosts (`crm.internal`), addresses and networks (`10.0.0.0/8`) of one's own that may be reached, over plain HTTP too.
   * Without it: public addresses over https, judged when they are connected to, and this machine where the base URL says
   * so (127.0.0.1, localhost). Redirects and next links to elsewhere are held to the same.
   */
  readonly allow?: readonly string[]
  /** Sent with every call to the base URL's origin. */
  readonly headers?: Readonly<Record<string, string>>
  /** Of one attempt, whole body included; default 30 s. */
  readonly timeoutMs?: number
  /** Most bytes of one body, unpacked; default 32 MiB. A streamed body has no cap: no memory holds it. */
  readonly maxBytes?: number
  /** Key of the budget that an answer "not changed" (304) is not counted against by the source. */
  readonly unchangedIsFree?: string
  /**
   * Names a failure by its body. undefined: by status (401, 403: auth; 408, 425, 429, 5xx: repeated, by Retry-After where
   * it is sent; every other from 400 on: config).
   */
  failure?(answer: HttpAnswer): HttpFailure | undefined
  /** Names of the source's rate headers; the budget follows them. Values are counts, `reset` seconds from now or epoch. */
  readonly rateHeaders?: {
    readonly limit?: string
    readonly remaining?: string
    readonly reset?: string
    readonly intervalMs?: number
  }
}
