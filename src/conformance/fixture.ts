/**
 * What a connector is proved against: a fixture, which is a source one can change, and knows its own truth.
 *
 * Only `url`, `clock`, `truth` and `create` are needed. Each of the others makes one more check possible; a check whose
 * deed the fixture cannot do, because the source knows no such thing, says so by name. Deeds change the source at once;
 * the fixture's server answers as the real one does, including how late its index is. It need not play faults: the kit
 * puts a proxy in front of it.
 */
import type { Pool, Queryable } from '../db/pool.ts'
import type { Connector, SourceRow } from '../define/index.ts'

/** Time as the connector, its budgets and the source see it; stands still until moved. */
export interface KitClock {
  now(): number
  advance(ms: number): void
}

export function manualClock(startMs: number = Date.UTC(2026, 0, 1)): KitClock {
  let now = startMs
  return {
    now: () => now,
    advance: (ms) => {
      now += ms
    },
  }
}

/** Table id to its rows; only the columns given are compared, and a table not named must be empty or is not compared. */
export type Truth = Readonly<Record<string, readonly SourceRow[]>>

export interface CreateOptions {
  /** All with one time of modification, which is now. */
  readonly sameInstant?: boolean
}

export interface Fixture extends AsyncDisposable {
  readonly url: string
  readonly clock: KitClock
  /** What the source tables must hold once everything has been read. */
  truth(): Truth | Promise<Truth>
  /** New records, in every stream that has records of its own. */
  create(count: number, options?: CreateOptions): void | Promise<void>
  /** Changes fields of up to `count` records there are, which moves their time of modification. */
  change?(count: number): void | Promise<void>
  /** Removes records in the way the connector is meant to notice. */
  remove?(count: number): void | Promise<void>
  /** Brings back what `remove` removed. */
  restore?(): void | Promise<void>
  /** Merges two records. */
  merge?(): void | Promise<void>
  /** Erases a record for privacy. @returns its key, which may then be nowhere */
  erase?(): string | Promise<string>
  /** One record that cannot be landed, among good ones. It is not in `truth`. */
  poison?(): void | Promise<void>
  /**
   * Records that hold NUL, emoji, a megabyte of text and 2^53 + 1. In `truth` NUL is U+FFFD.
   */
  oddValues?(): void | Promise<void>
  /** Takes away what the source itself keeps of its reader, such as a replication slot: a run from nothing follows. */
  forget?(): void | Promise<void>
  /** The token in use ends now; a connector that can get another one does. */
  expireToken?(): void | Promise<void>
}

export interface ConformanceSpec {
  readonly name: string
  /** A new one each time, as in a new process. `url` is the kit's proxy; the secret must be used as the credential. */
  connector(at: { readonly url: string; readonly secret: string }): Connector
  /** @param at.pool of the kit's database, where the kit runs: a source that is a database too can be made beside it */
  fixture(at: { readonly secret: string; readonly pool?: Pool }): Promise<Fixture>
  /** What connector and source speak. Of `postgres` a call is a connection, and a fault cuts it. Default: `http` */
  readonly wire?: 'http' | 'postgres'
  /** Makes the tables of others that lookups read, after the kit has emptied the database. */
  prepare?(database: Queryable): Promise<void>
  /** How far the clock moves between two rounds of all streams; must be beyond every lag and sweep. Default: 1 day. */
  readonly settleMs?: number
  /** Which budget a call belongs to, where there are several. Default: the first. */
  budgetOf?(method: string, path: string): string
  /** A page's size, so that ties can be made larger. Default 100. */
  readonly pageSize?: number
  /** States of earlier versions, by stream, as those versions left them after the records the fixture starts with. */
  readonly earlierStates?: Readonly<Record<string, { readonly version: number; readonly state: unknown }>>
  /** Checks, by name, that do not apply to this source, and why. */
  readonly notApplicable?: Readonly<Record<string, string>>
}
