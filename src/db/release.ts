/**
 * Releases: the sets of definitions that were deployed to a database, one after the other.
 *
 * Invariant: a set that was replaced is deployed again only when somebody asks for it. Otherwise a process of an older
 * release that is started once more (a pod on another node, a supervisor's restart) would take the database back, and the
 * newer processes with it. In the transaction of the deployment, so a crash leaves both or neither.
 */
import { createHash } from 'node:crypto'
import type { Queryable } from './pool.ts'

export type ReleaseKind = 'features' | 'models'

/** @param members one text for each definition: name and what tells its versions apart */
function fingerprintOf(members: readonly string[]): string {
  return createHash('sha256')
    .update([...members].sort().join('\n'))
    .digest('hex')
}

export interface Replaced {
  readonly deployedAt: string
  readonly replacedAt: string
}

/** When exactly these definitions were deployed and replaced; null: never, or they are the deployed ones. */
export async function replacedRelease(
  database: Queryable,
  kind: ReleaseKind,
  members: readonly string[],
): Promise<Replaced | null> {
  const { rows } = await database.query<Replaced>(
    `select to_char(deployed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') as "deployedAt",
       to_char(replaced_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') as "replacedAt"
     from rescore.release where kind = $1 and fingerprint = $2 and replaced_at is not null`,
    [kind, fingerprintOf(members)],
  )
  return rows[0] ?? null
}

/** These are the deployed definitions from now on. Writes nothing where they are already. */
export async function noteRelease(database: Queryable, kind: ReleaseKind, members: readonly string[]): Promise<void> {
  const fingerprint = fingerprintOf(members)
  await database.query(
    'update rescore.release set replaced_at = clock_timestamp() where kind = $1 and fingerprint <> $2 and replaced_at is null',
    [kind, fingerprint],
  )
  await database.query(
    `insert into rescore.release as r (kind, fingerprint) values ($1, $2)
     on conflict (kind, fingerprint) do update set deployed_at = clock_timestamp(), replaced_at = null
     where r.replaced_at is not null`,
    [kind, fingerprint],
  )
}
