/** A running service on the test project, and what backfills of its companies are asked for and come to. */
import { type BackfillRequest, createBackfill } from '../../src/backfill/create.ts'
import { type Backfill, doneCount, ENDED, readBackfill } from '../../src/backfill/job.ts'
import type { AnyFeature, ProjectConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import type { EntityNode } from '../../src/graph/graph.ts'
import type { Place } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { projectConfig } from '../support/project-features.ts'
import { withFeature } from '../support/release.ts'

const EVERYTHING: BackfillRequest = {
  policy: 'all',
  features: [],
  condition: null,
  ids: null,
  priority: null,
  rate: null,
}

export function companies(): EntityNode {
  const node = compileGraph(projectConfig).entities.get('company')
  if (node === undefined) throw new TypeError('The test project has companies.')
  return node
}

export function ask({ pool }: Place, request: Partial<BackfillRequest> = {}, state: 'planned' | 'running' = 'running') {
  return createBackfill(pool, companies(), { ...EVERYTHING, ...request }, { reason: 'asked', state })
}

/** Waits until it has ended, in whichever way. */
export function ended({ pool }: Place, { id }: Backfill): Promise<Backfill> {
  return eventually(
    async () => {
      const backfill = await readBackfill(pool, id)
      if (![...ENDED, 'failed'].includes(backfill.state))
        throw new Error(`It is ${backfill.state}: ${doneCount(backfill)}.`)
      return backfill
    },
    { deadlineMs: 150_000 },
  )
}

/** Every company is a busy one. */
export const SECOND_RELEASE = () =>
  nextRelease('visits', { version: 2, compute: ({ count }) => 900 + Number(count) }, 10)

export function countsOf({ changed, unchanged, fresh, failed, gone }: Backfill) {
  return { changed, unchanged, fresh, failed, gone }
}

/** As a release that changes the feature, whose rows a backfill is to bring up to date. */
export async function release({ pool }: Place, features: readonly string[], state: 'planned' | 'running' = 'running') {
  await pool.query(
    `update rescore.definition set changed_in_epoch = (select max(changed_in_epoch) + 1 from rescore.definition)
     where entity = 'company' and feature = any($1::text[])`,
    [[...features]],
  )
  const backfill = await ask({ name: '', url: '', pool }, { policy: 'stale', features: [] }, state)
  await pool.query(
    `update rescore.definition set backfill = $2 where entity = 'company' and feature = any($1::text[])`,
    [[...features], backfill.id],
  )
  return backfill
}

/** The test project in its next release: this feature changed, whoever reads it reads the new one. */
export function nextRelease(name: string, change: Partial<AnyFeature>, approveAbove: number): ProjectConfig {
  return { ...withFeature(projectConfig, name, change), backfill: { approveAbove } }
}
