/**
 * Stages that deploy, catch up on everything there is, and then stand still: derived tables without a running service.
 * Their reflected position is ahead of all that will ever be written, so that nobody waits for them.
 */
import { type Pool, withTransaction } from '../../src/db/pool.ts'
import type { Stage } from '../../src/log/stage.ts'

export async function catchUp(
  pool: Pool,
  stages: readonly Pick<Stage<unknown>, 'name' | 'deploy' | 'sweep'>[],
): Promise<void> {
  const { signal } = new AbortController()
  for (const stage of stages) {
    await stage.deploy(pool)
    const piece = () =>
      withTransaction(pool, { isolation: 'repeatable read' }, (client) =>
        stage.sweep({ client, snapshotLsn: 256n, nowMs: 0, signal }),
      )
    while (await piece());
    await pool.query(
      `insert into rescore.stage_position (stage, lsn, index, reflected_lsn) values ($1, '0/0', 0, 'FFFF/0')`,
      [stage.name],
    )
  }
}
