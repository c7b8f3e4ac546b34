/**
 * Whether one change costs the same among many entities as among few: the same idle latency at two sizes.
 *
 * Both sizes are measured at the same time, each in a database and a service of its own. The same number of companies is
 * changed in both, spread evenly over the table. In the first round after a
 * checkpoint PostgreSQL writes every page it touches whole to its log, and companies that are far apart share none; that
 * round is reported by itself, and the ratio is taken of the second.
 */
import { sleep } from '../src/db/backoff.ts'
import { watchClassified } from './classified.ts'
import type { BenchContext } from './context.ts'
import type { Measurement } from './measurement.ts'
import { changeAtPace, type PacedFigures } from './paced-changes.ts'
import { CURRENT } from './project/config.ts'
import { startServiceProcess } from './service-process.ts'
import { round } from './statistics.ts'

const SMALL = 10_000
const LARGE = 1_000_000
const CHILDREN = 5_000
const REFLECT_WITHIN_MS = 3_600_000
const CHANGES = 250
const EVERY_MS = 100

export const scale: Measurement = {
  name: 'scale',
  run: async (context) => {
    await using small = await openSize(context, 'small', context.scaled(SMALL, 500))
    await using large = await openSize(context, 'large', context.scaled(LARGE, 5_000))
    const firstTouch = await changeInTurn(context, small, large)
    const warm = await changeInTurn(context, small, large)
    return {
      entities: { small: small.companies, large: large.companies },
      ...warm,
      firstTouch,
      peakRssMb: { small: await small.peakRssMb(), large: await large.peakRssMb() },
    }
  },
}

interface Size extends AsyncDisposable {
  readonly companies: number
  change(): Promise<PacedFigures>
  peakRssMb(): Promise<number>
}

async function openSize(context: BenchContext, label: string, companies: number): Promise<Size> {
  const { signal, say } = context
  await using opened = new AsyncDisposableStack()
  const database = opened.use(
    await context.createCrm(`scale_${label}`, { companies, contacts: CHILDREN, deals: CHILDREN }),
  )
  const options = { url: database.url, slot: `bench_scale_${label}`, project: CURRENT, signal, say }
  const service = opened.use(await startServiceProcess(options))
  await service.reflected(REFLECT_WITHIN_MS)
  // What the first load left to be written and cleaned would otherwise be measured with the larger size.
  await database.pool.query('vacuum analyze')
  await database.pool.query('checkpoint')
  const classified = opened.use(await watchClassified(database.pool, database.url))
  const pace = { changes: CHANGES, everyMs: EVERY_MS, companies: CHANGES, stride: Math.floor(companies / CHANGES) }
  const kept = opened.move()
  return {
    companies,
    change: () => changeAtPace(classified, { ...pace, signal }),
    peakRssMb: async () => (await service.figures()).peakRssMb,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

/** Both sizes at once, half a beat apart: whatever else the machine does meets both alike. */
async function changeInTurn({ signal, say }: BenchContext, small: Size, large: Size) {
  say(`scale: ${CHANGES} changes among ${small.companies} companies and among ${large.companies}`)
  const later = async () => {
    await sleep(EVERY_MS / 2, signal)
    return large.change()
  }
  const [ofSmall, ofLarge] = await Promise.all([small.change(), later()])
  return {
    small: ofSmall,
    large: ofLarge,
    ratioOfMedians: round(ofLarge.fromSendMs.p50 / ofSmall.fromSendMs.p50, 2),
    ratioOfP99: round(ofLarge.fromSendMs.p99 / ofSmall.fromSendMs.p99, 2),
  }
}
