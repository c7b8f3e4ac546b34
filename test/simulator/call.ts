/** One call to the API, as a handler gets it and answers it. */
import type { Journal } from './journal.ts'
import type { Portal } from './portal.ts'

export interface Call {
  readonly portal: Portal
  readonly method: string
  /** v3, v4 or dated */
  readonly version: string
  readonly query: URLSearchParams
  readonly body: unknown
  /** Characters of the body as it came. */
  readonly bodyLength: number
  readonly settings: ApiSettings
  readonly journal: Journal
  /** As the caller named it. */
  readonly host: string
}

export interface ApiSettings {
  /** Associations answered per record and page. */
  readonly associationPage: number
}

export interface Reply {
  readonly status: number
  /** Nothing is sent when undefined. */
  readonly body: unknown
}

export const ok = (body: unknown, status = 200): Reply => ({ status, body })
export const NO_CONTENT: Reply = { status: 204, body: undefined }

/** Both `a=x&a=y` and `a=x,y`. */
export function namesIn(query: URLSearchParams, name: string): readonly string[] {
  return query
    .getAll(name)
    .flatMap((value) => value.split(','))
    .filter((value) => value !== '')
}

export const LIST_LIMIT = 100
/** With propertiesWithHistory. */
export const HISTORY_LIMIT = 50
export const SEARCH_LIMIT = 200
export const SEARCH_TOTAL = 10_000
