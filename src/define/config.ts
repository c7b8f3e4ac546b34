/** The one list that wires a project together: what `rescore.config.ts` exports as default. */
import type { Connector } from './connector.ts'
import type { Delivery } from './delivery.ts'
import type { AnyFeature } from './feature.ts'
import type { Model } from './model.ts'

export interface ProjectConfig {
  readonly connectors: readonly Connector[]
  readonly features: readonly AnyFeature[]
  readonly models: readonly Model[]
  /** Where classifications go. Missing: nowhere. */
  readonly deliver?: readonly Delivery[]
  /** Where webhooks of connectors are listened for. Missing: nowhere. */
  readonly webhooks?: WebhookListener | undefined
  readonly backfill?: BackfillSpec | undefined
  /** How long the past is kept. Missing: for ever. */
  readonly history?: HistorySpec | undefined
  /** Who brings changes of the database into Kafka. Missing: Rescore. */
  readonly capture?: CapturedBy | undefined
  /** What the loader of the project found of each feature's code; missing: the text of `compute` stands for it. */
  readonly code?: ReadonlyMap<AnyFeature, string> | undefined
}

export interface BackfillSpec {
  /** A deployment that makes more rows of an entity stale than this recomputes them only once it is approved. */
  readonly approveAbove: number
}

/** Whole months of UTC before the present one. */
export type Keep = 'forever' | `${number} ${'month' | 'months' | 'year' | 'years'}`

export interface HistorySpec {
  /** How long values and labels of the past are kept. Default: for ever. */
  readonly keep?: Keep
  /** By name of entity, where it differs. */
  readonly entities?: Readonly<Record<string, Keep>>
}

/** `debezium`: topics that a Debezium connector writes are read, and Rescore opens no replication slot of its own. */
export type CapturedBy = 'rescore' | 'debezium'

export interface WebhookListener {
  readonly port: number
  /** Default: 127.0.0.1, behind a proxy that ends TLS. */
  readonly host?: string
}

export interface ProjectSpec {
  readonly connectors?: readonly Connector[]
  /** Features, or whole modules of them (`import * as company from './features/company.ts'`); other exports are passed over. */
  readonly features: readonly (AnyFeature | Readonly<Record<string, unknown>>)[]
  readonly models?: readonly Model[]
  readonly deliver?: readonly Delivery[]
  readonly webhooks?: WebhookListener
  /** Default: to be approved above 100,000 rows of an entity. */
  readonly backfill?: BackfillSpec
  /** Default: the past is kept for ever. */
  readonly history?: HistorySpec
  readonly capture?: CapturedBy
}

function isFeature(value: unknown): value is AnyFeature {
  return (
    typeof value === 'object' && value !== null && 'input' in value && value.input === 'feature' && 'compute' in value
  )
}

export function defineConfig(spec: ProjectSpec): ProjectConfig {
  const features = spec.features.flatMap((entry) =>
    isFeature(entry) ? [entry] : Object.values(entry).filter(isFeature),
  )
  const { connectors = [], models = [], deliver = [], webhooks, backfill, history, capture } = spec
  return { connectors, features: [...new Set(features)], models, deliver, webhooks, backfill, history, capture }
}
