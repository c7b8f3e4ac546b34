/** What the stage 'recompute' is made with. */
import type { Graph } from '../graph/graph.ts'
import type { Report } from '../log/stage.ts'
import type { FeatureTally } from './tally.ts'

export interface RecomputeStageOptions {
  readonly graph: Graph
  readonly report: Report
  /** Reading an undeclared input is an error (FEATURE_UNDECLARED_INPUT). */
  readonly strict: boolean
  /** A deployment that makes more rows of an entity stale leaves them to a backfill, to be approved. Default: 100,000. */
  readonly approveAbove?: number | undefined
  /** Definitions that are older than the deployed ones are meant, and deployed. */
  readonly isRollback?: boolean | undefined
  readonly tally?: FeatureTally | undefined
  /** Told of timers that were written, milliseconds since 1970; they may yet be rolled back. */
  readonly onTimer?: ((dueMs: number) => void) | undefined
}
