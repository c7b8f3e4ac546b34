/** What a network does to the processes behind the cluster's proxy, one thing after the other, each under load. */
import { sleep } from '../../src/db/backoff.ts'
import type { Cluster } from './kafka-cluster.ts'
import { SEED, WHOLE } from './kafka-faults.ts'
import { startLoad } from './load.ts'

const CUT_EVERY_MS = 400
const DELAY_MS = 300

interface NetworkFault {
  readonly name: string
  readonly forMs: number
  readonly run: (cluster: Cluster, untilMs: number) => void | Promise<void>
}

/** For longer than a session lasts; with RESCORE_FAULTS=all for longer than any request may take. */
const SILENCE_MS = WHOLE ? 45_000 : 7_000
const SHORT_MS = WHOLE ? 20_000 : 3_000

const FAULTS: readonly NetworkFault[] = [
  {
    name: 'cuts connections',
    forMs: SHORT_MS,
    run: async ({ proxy }, untilMs) => {
      while (performance.now() < untilMs) {
        proxy.cut()
        await sleep(CUT_EVERY_MS)
      }
    },
  },
  { name: 'delays', forMs: SHORT_MS, run: ({ proxy }) => proxy.set('delay', DELAY_MS) },
  { name: 'refuses connections', forMs: SHORT_MS, run: ({ proxy }) => proxy.set('refuse') },
  { name: 'accepts and never answers', forMs: SILENCE_MS, run: ({ proxy }) => proxy.set('swallow') },
  { name: 'loses the answers', forMs: SILENCE_MS, run: ({ proxy }) => proxy.set('swallow-answers') },
]

/** @param beforeCalm asked at the end of each fault, before the network is whole again */
export async function throughNetworkFaults(
  cluster: Cluster,
  who: string,
  whileFaulty: (fault: string) => Promise<void> = async () => undefined,
): Promise<void> {
  for (const [index, { name, forMs, run }] of FAULTS.entries()) {
    const load = startLoad(cluster.place, SEED + 50 + index)
    const untilMs = performance.now() + forMs
    await run(cluster, untilMs)
    await sleep(Math.max(0, untilMs - performance.now()))
    await load.stop()
    await whileFaulty(name)
    cluster.proxy.set('pass')
    await cluster.check(`the network of ${who} ${name}`)
  }
}
