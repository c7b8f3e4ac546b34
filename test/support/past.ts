/** A past written row by row, as recompute writes it: what was valid from when, and when it was written down. */
import type { FeatureValue } from '../../src/define/index.ts'
import type { Instant } from '../../src/history/instant.ts'
import { type RetentionOptions, retain } from '../../src/history/retention.ts'
import { ruleOf } from '../../src/history/rule.ts'
import type { TestDatabase } from './pg.ts'

export interface PastRow {
  readonly key: string
  readonly op: 'insert' | 'update' | 'delete'
  readonly validAt: string
  readonly recordedAt?: string
  readonly to?: Readonly<Record<string, FeatureValue>>
}

export async function writePast(database: TestDatabase, entity: string, rows: readonly PastRow[]): Promise<void> {
  await database.query(
    `insert into rescore.feature_history (entity, key, op, changed, causes, cause_count, epoch, snap_lsn, valid_at, recorded_at)
     select $1, u.key, u.op, u.changed::json, '[]', 0, 1, '0/1', u.valid_at, u.recorded_at
     from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
       with ordinality as u(key, op, changed, valid_at, recorded_at, nr) order by nr`,
    [
      entity,
      rows.map(({ key }) => key),
      rows.map(({ op }) => op),
      rows.map(({ to }) =>
        to === undefined
          ? null
          : JSON.stringify(Object.fromEntries(Object.entries(to).map(([name, value]) => [name, { to: value }]))),
      ),
      rows.map(({ validAt }) => validAt),
      rows.map(({ validAt, recordedAt = validAt }) => recordedAt),
    ],
  )
}

/** Keeps a month of the entity before that of `now`, and everything of all others. */
export function applyRule({ pool }: TestDatabase, entity: string, now: Instant, more: Partial<RetentionOptions> = {}) {
  const rule = ruleOf({ entities: { [entity]: '1 month' } }, [entity])
  return retain({ pool, rule, now, signal: new AbortController().signal, share: 1, ...more })
}
