/**
 * `npm run bench`: the service on the embedded log.
 *
 *   npm run bench -- --only latency,throughput --scale 0.1 --json figures/bench.json
 */
import { runCommand } from './command.ts'
import { backfill } from './measure-backfill.ts'
import { capture } from './measure-capture.ts'
import { changing } from './measure-changing.ts'
import { connector } from './measure-connector.ts'
import { dataset } from './measure-dataset.ts'
import { history } from './measure-history.ts'
import { landing } from './measure-landing.ts'
import { latency } from './measure-latency.ts'
import { memory } from './measure-memory.ts'
import { rescore } from './measure-rescore.ts'
import { scale } from './measure-scale.ts'
import { throughput } from './measure-throughput.ts'
import { TARGETS } from './targets.ts'

await runCommand({
  measurements: [
    ...[latency, throughput, rescore, capture, memory, connector, landing, scale],
    ...[backfill, changing, history, dataset],
  ],
  targets: TARGETS,
})
