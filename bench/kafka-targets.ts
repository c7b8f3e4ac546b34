/** The targets of `npm run bench:kafka`, on two cores at scale 1. Both ways to say a rate: as a whole and once JVMs are warm. */
import type { Target } from './targets.ts'

export const KAFKA_TARGETS: readonly Target[] = [
  { name: 'rows/s, share of the ceiling, whole', at: 'capture.shareOfCeiling.whole', atLeast: 0.8 },
  { name: 'rows/s, share of the ceiling, last 70 %', at: 'capture.shareOfCeiling.last70Percent', atLeast: 0.8 },
  { name: 'rows/s, times Debezium tuned, last 70 %', at: 'capture.againstDebeziumTuned.rate', atLeast: 1.7 },
  {
    name: 'processor time a row, share of Debezium tuned, last 70 %',
    at: 'capture.againstDebeziumTuned.cpuPerRow',
    atMost: 0.333,
  },
  { name: 'peak memory, share of Debezium tuned', at: 'capture.againstDebeziumTuned.memory', atMost: 0.333 },
  { name: 'commit to record at 200 commits/s, p99, ms', at: 'latency.rescore.commitToRecordMs.p99', atMost: 3 },
]
