/**
 * What the parts of one process of a shared service have in common.
 * Invariant: made once the process has its share of the lease, and closed only after every part has ended.
 */
import type { Kafka } from 'kafkajs'
import type { Carrier } from './capture/carrier.ts'
import type { Pool } from './db/pool.ts'
import type { Graph } from './graph/graph.ts'
import type { KafkaSettings } from './log/kafka/settings.ts'
import type { Source } from './log/log.ts'
import type { Report } from './log/stage.ts'
import type { Health } from './observe/health.ts'
import type { Metrics } from './observe/metrics.ts'
import type { RecomputeStage } from './recompute/stage.ts'
import type { FeatureTally } from './recompute/tally.ts'
import type { ModelSet } from './score/registry.ts'
import type { ScoreStage } from './score/stage.ts'
import type { ServiceOptions } from './service.ts'

export const PARTS = ['capture', 'recompute', 'score', 'connect'] as const
/** What a process may be asked to run. */
export type Part = (typeof PARTS)[number]

export interface SharedServiceOptions extends ServiceOptions {
  readonly kafka: KafkaSettings
  readonly parts: ReadonlySet<Part>
  /** Told apart from other processes of the same host by more than its number: tests run several in one. */
  readonly owner?: string
  readonly sessionTimeoutMs?: number
  readonly barrierEveryMs?: number
}

export type AnyStage = RecomputeStage | ScoreStage

export interface SharedProcess {
  readonly options: SharedServiceOptions
  readonly pool: Pool
  readonly graph: Graph
  readonly models: ModelSet
  readonly kafka: Kafka
  readonly carrier: Carrier
  readonly signal: AbortSignal
  readonly report: Report
  readonly health: Health
  readonly metrics: Metrics
  readonly tally: FeatureTally
  /** By stage: the partitions its group has given to this process. A stage that is not in its group is missing. */
  readonly assigned: Map<string, readonly Source[]>
  /** The stage objects made so far, by stage: their counters add up. */
  readonly stages: Map<string, AnyStage[]>
}
