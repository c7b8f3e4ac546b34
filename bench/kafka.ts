/**
 * `npm run bench:kafka`: the service over Kafka, beside Debezium and what PostgreSQL itself can send. Needs Java and Maven.
 *
 *   npm run bench:kafka -- --only capture,latency --scale 0.1 --json figures/kafka.json
 */
import { whyNoKafka } from '../test/support/kafka/archives.ts'
import { runCommand } from './command.ts'
import { kafkaCapture } from './kafka-capture.ts'
import { kafkaLatency } from './kafka-latency.ts'
import { KAFKA_TARGETS } from './kafka-targets.ts'
import { kafkaWorkers } from './kafka-workers.ts'

await runCommand({
  measurements: [kafkaCapture, kafkaLatency, kafkaWorkers],
  targets: KAFKA_TARGETS,
  whyNot: whyNoKafka,
})
