/**
 * What time it is for what is derived: the database's clock, read together with the snapshot's LSN.
 *
 * Invariant: it never falls. Whatever reads time is computed at an instant that was marked in the database, and committed
 * there, before; no later instant is below the mark. So a clock that jumps back takes no value back: time stands still
 * until the clock has caught up. After a crash of the server the mark is at least the time of every commit that is left:
 * it is written earlier into the same write-ahead log.
 */

/** Milliseconds since 1970, in place of the database's clock: tests drive time. */
export type Clock = () => number

/** Milliseconds since 1970 of a timestamptz, whole, rounded down: an instant that has been. */
const toMs = (at: string) => `floor(extract(epoch from ${at}) * 1000)::float8`

function sourceSql(clock: Clock | undefined): string {
  // A literal, so that it fits into a text of several statements.
  return clock === undefined
    ? `date_trunc('milliseconds', clock_timestamp())`
    : `timestamptz '${new Date(clock()).toISOString()}'`
}

/** The time it is, as a timestamptz: never below the mark. */
export function nowSql(clock?: Clock): string {
  return `(select greatest(${sourceSql(clock)}, c.at) from rescore.clock c)`
}

/**
 * Selects one row: `lsn`, and `now`, milliseconds since 1970.
 * @param isMarked it is for something that reads time
 */
export function tellSql(clock: Clock | undefined, isMarked: boolean): string {
  const marked = `, marked as (update rescore.clock c set at = told.at from told where c.at < told.at)`
  return `with told as materialized (select ${sourceSql(clock)} as at)${isMarked ? marked : ''}
    select pg_current_wal_insert_lsn()::text as lsn, ${toMs('greatest(told.at, c.at)')} as now
    from told, rescore.clock c`
}

/** Selects one row: `lsn`, and `now`: the mark itself. */
export const MARK_SQL = `select pg_current_wal_insert_lsn()::text as lsn, ${toMs('at')} as now from rescore.clock`
