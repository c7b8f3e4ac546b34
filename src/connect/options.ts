/** What running a connector needs from outside; everything a test may want to hold in its hand is here. */
import type { Pool } from '../db/pool.ts'
import type { Connector, SourceError } from '../define/index.ts'
import type { BudgetBook } from './budget.ts'
import type { CallEnvironment } from './call.ts'
import type { Transport } from './http/transport.ts'
import type { Landed } from './landing.ts'
import type { Resolver } from './outgoing/guard.ts'
import type { ColumnReference } from './source-tables.ts'

export interface ConnectLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** Points where a test may stop the world. */
export interface ConnectFaults {
  /** Before a message is taken from the stream's buffer into account. */
  onMessage?(stream: string): void
  beforeLand?(stream: string): void | Promise<void>
  afterLand?(stream: string): void | Promise<void>
}

export type ConnectReport = (event: {
  readonly connector: string
  readonly stream: string
  readonly event: 'landed' | 'pass' | 'failed'
  readonly landed?: Landed
  readonly error?: Error
}) => void

export interface CallOverrides extends Pick<CallEnvironment, 'sleep' | 'random' | 'attempts' | 'timeoutMs'> {}

export interface RunConnectorOptions {
  readonly pool: Pool
  readonly connector: Connector
  readonly signal: AbortSignal
  readonly log: ConnectLog
  readonly clock?: { now(): number }
  /** How a call waits between its repeats. Default: real time, full jitter. A test with a clock of its own moves it here. */
  readonly waiting?: CallOverrides
  /** Shared by everything that calls with the same credential. Default: one of this run alone. */
  readonly budgets?: BudgetBook
  /** Default: a connection for each call. */
  readonly transport?: Transport
  /** How names are resolved. Default: as the machine does. */
  readonly resolver?: Resolver
  readonly report?: ConnectReport
  readonly faults?: ConnectFaults
  /** Columns relations go through; indexed. */
  readonly foreignKeys?: readonly ColumnReference[]
}

/** Shape check: a user's connector may hold a second copy of the module. */
export function isSourceError(error: unknown): error is SourceError {
  return error instanceof Error && error.name === 'SourceError' && 'kind' in error
}
