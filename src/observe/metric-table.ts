/**
 * Every metric of ours, declared once: name, what it says, its labels.
 *
 * Invariants: base units (seconds, bytes) and Prometheus's suffixes; labels are names out of the configuration and codes
 * of ours, never keys, values or messages, so their number is bounded. docs/operations.md lists them; a test holds the two
 * against each other.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** From a batch of one change to one of thousands, seconds. */
const WORK_SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** From the commit of a change to the commit of the classification it moved, seconds. */
const FRESH_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1_800]

export interface DeclaredMetric {
  readonly name: string
  readonly kind: 'gauge' | 'counter' | 'histogram'
  readonly labels: readonly string[]
}

/** @param declared gets one entry for each metric made */
export function createMetricTable(registry: Registry, declared: DeclaredMetric[] = []) {
  const registers = [registry]
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) => {
    declared.push({ name, kind: 'gauge', labels: labelNames })
    return new Gauge<L>({ name, help, labelNames, registers })
  }
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) => {
    declared.push({ name, kind: 'counter', labels: labelNames })
    return new Counter<L>({ name, help, labelNames, registers })
  }
  const histogram = <L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) => {
    declared.push({ name, kind: 'histogram', labels: labelNames })
    return new Histogram<L>({ name, help, labelNames, buckets, registers })
  }

  return {
    build: gauge('rescore_build_info', 'Always 1; the labels say which program runs.', 'version', 'node'),
    partReady: gauge('rescore_part_ready', '1 while a part of this process runs or stands by, else 0.', 'part'),
    databaseReachable: gauge('rescore_database_reachable', '1 when PostgreSQL answered within 2 s, else 0.'),
    scrapeFailures: counter(
      'rescore_database_figures_failures_total',
      'Scrapes without the figures that are read from PostgreSQL, by SQLSTATE or other code.',
      'code',
    ),

    stageLag: gauge(
      'rescore_stage_lag_seconds',
      'Age of the oldest change this process has read and not handled; 0 when there is none.',
      'stage',
    ),
    stageBacklog: gauge('rescore_stage_backlog_entries', 'Changes read or waiting to be, not yet handled.', 'stage'),
    stageUnreflected: gauge(
      'rescore_stage_unreflected_bytes',
      'WAL written since the reflected position of the stage in the whole service, ours or not.',
      'stage',
    ),
    stagePartitions: gauge(
      'rescore_stage_assigned_partitions',
      'Partitions of the stage that its consumer group has given to this process.',
      'stage',
    ),
    stageSweeping: gauge('rescore_stage_sweeping', '1 while stale rows are being caught up on, else 0.', 'stage'),
    stageEntries: counter('rescore_stage_entries_total', 'Changes in committed batches.', 'stage'),
    stageHandled: counter('rescore_stage_handled_total', 'Entities looked at (score: one per model).', 'stage'),
    stageComputed: counter('rescore_stage_computed_total', 'Features computed, or rows inferred.', 'stage'),
    stageNeeded: counter(
      'rescore_stage_needed_total',
      'Features that had to be computed; computed less needed is work for nothing.',
      'stage',
    ),
    stageWritten: counter('rescore_stage_written_total', 'Rows inserted, updated or deleted.', 'stage'),
    stageBatch: histogram(
      'rescore_stage_batch_duration_seconds',
      'From the begin of a batch to its commit.',
      WORK_SECONDS,
      'stage',
    ),
    stageSweep: histogram(
      'rescore_stage_sweep_duration_seconds',
      'One piece of catching up on stale rows.',
      WORK_SECONDS,
      'stage',
    ),
    stageFailures: counter(
      'rescore_stage_failures_total',
      'Failures of a stage that were reported; most are repeated.',
      'stage',
      'code',
    ),
    freshness: histogram(
      'rescore_change_to_classification_seconds',
      'From the commit of a source change to the commit of the classification it moved; of a batch the first 1,000.',
      FRESH_SECONDS,
      'model',
    ),

    timersFired: counter('rescore_timers_fired_total', 'Timers whose features this process has computed anew.'),
    timerLateness: histogram(
      'rescore_timer_lateness_seconds',
      'How long after its instant the oldest timer of a piece was taken.',
      FRESH_SECONDS,
    ),
    timersOverdue: gauge(
      'rescore_timers_overdue',
      'Timers whose time has come and that have not fired; counted to 10,000.',
    ),

    publishedRecords: counter(
      'rescore_capture_published_records_total',
      'Records that all in-sync replicas have acknowledged.',
    ),
    publishedBytes: counter(
      'rescore_capture_published_bytes_total',
      'Bytes of those records before compression, keys and headers included.',
    ),
    slotActive: gauge('rescore_slot_active', '1 while somebody reads the replication slot, else 0.'),
    slotLost: gauge('rescore_slot_lost', '1 when PostgreSQL has given the slot up, else 0.'),
    slotRetained: gauge('rescore_slot_retained_bytes', 'WAL that PostgreSQL keeps for the slot.'),
    slotUnconfirmed: gauge('rescore_slot_unconfirmed_bytes', 'WAL written since the position the slot has confirmed.'),
    roleLeader: gauge('rescore_role_leader', '1 while this process holds the role, 0 while it stands by.', 'role'),

    landed: counter(
      'rescore_connector_landed_records_total',
      'Rows inserted, updated or deleted.',
      'connector',
      'stream',
    ),
    rejected: counter(
      'rescore_connector_rejected_records_total',
      'Records that could not be landed and are in rescore.reject.',
      'connector',
      'stream',
    ),
    passes: counter('rescore_connector_passes_total', 'Passes that came to their end.', 'connector', 'stream'),
    lastPass: gauge(
      'rescore_connector_last_pass_timestamp_seconds',
      'When the last pass came to its end, seconds since 1970.',
      'connector',
      'stream',
    ),
    connectorFailures: counter(
      'rescore_connector_failures_total',
      'Passes that failed and are repeated from their last checkpoint.',
      'connector',
      'stream',
      'code',
    ),
    calls: counter(
      'rescore_connector_calls_total',
      'Calls to the source, repeats included, by the budget they draw from.',
      'connector',
      'budget',
    ),
    budgetLeft: gauge(
      'rescore_connector_budget_left_calls',
      'Calls that may start now before the budget makes them wait.',
      'connector',
      'budget',
    ),

    featureFreshness: gauge(
      'rescore_feature_freshness_seconds',
      'Age of the oldest change or definition that values of the feature do not reflect yet.',
      'entity',
      'feature',
    ),
    featureStale: gauge(
      'rescore_feature_stale_rows',
      'Rows still to be computed under its present definition; of more than 100,000 by a sample.',
      'entity',
      'feature',
    ),
    featureNulls: gauge(
      'rescore_feature_null_ratio',
      'Share of its stored values that are null, 0 to 1; of more than 100,000 by a sample.',
      'entity',
      'feature',
    ),
    featureComputed: counter(
      'rescore_feature_computed_total',
      'Times the feature was computed for an entity, by all processes.',
      'entity',
      'feature',
    ),
    featureMoved: counter(
      'rescore_feature_moved_total',
      'Times that moved its value; 1 less the share of it is the cut-off ratio.',
      'entity',
      'feature',
    ),
    violations: gauge(
      'rescore_expectation_violations',
      'Values that break a rule of their feature and that nobody has accepted, counted up to 100,000.',
      'entity',
      'feature',
      'rule',
      'otherwise',
    ),
    violationAge: gauge(
      'rescore_expectation_oldest_violation_seconds',
      'How long the oldest of them has been so.',
      'entity',
      'feature',
      'rule',
      'otherwise',
    ),

    deadLetters: gauge('rescore_dead_letter_records', 'Rows of rescore.dead_letter, counted up to 10,000.'),
    unpublished: gauge('rescore_unpublished_records', 'Rows of rescore.unpublished, counted up to 10,000.'),
    quarantined: gauge('rescore_quarantined_entities', 'Rows of rescore.quarantine, counted up to 10,000.'),
    pastBytes: gauge('rescore_history_bytes', 'Histories and what is kept of their folded rows, indexes included.'),
    pastPartitions: gauge('rescore_history_partitions', 'Partitions of the histories.'),
    pastStrays: gauge(
      'rescore_history_default_rows',
      'Rows whose month was not there when they were written, counted up to 10,000.',
    ),
    pastRun: gauge(
      'rescore_history_run_timestamp_seconds',
      'When the rule for the past was last applied to its end, seconds since 1970.',
    ),
    pastWaiting: gauge(
      'rescore_history_run_incomplete',
      '1 when the last run had to leave something or failed, else 0.',
    ),
    rejectsKept: gauge('rescore_rejected_records', 'Rows of rescore.reject, counted up to 10,000.'),
  }
}

export type MetricTable = ReturnType<typeof createMetricTable>
