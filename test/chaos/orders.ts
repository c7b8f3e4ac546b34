/** What the test and the service in its child process say to each other. */

export interface ServiceOrder {
  readonly url: string
  readonly slot: string
  /** The test project on tables of its own, or the repository's, whose connector reads a portal named by the environment. */
  readonly project: 'test' | 'repository'
}

export type ToService =
  /** Dies by SIGKILL at the n-th passing of the point from now on. */
  | { readonly type: 'kill-at'; readonly point: string; readonly passing: number }
  /** Stands still at the next passing of the point until it is let go. */
  | { readonly type: 'hold-at'; readonly point: string }
  | { readonly type: 'let-go'; readonly point: string }

export type FromService =
  | { readonly type: 'running' }
  | { readonly type: 'held'; readonly point: string }
  /** It ended by itself. */
  | { readonly type: 'ended'; readonly code: string; readonly message: string }
