/** Checks of what goes wrong between connector and source: nothing of it may lose a record, and no secret may get out. */

import { isSourceError } from '../../connect/options.ts'
import { asError } from '../../errors.ts'
import { type Bench, SECRET } from '../bench.ts'
import { type Check, fail, notApplicable, pass, whole } from '../check.ts'
import type { FaultName } from '../proxy.ts'

const SLOW_TIMEOUT_MS = 700

const FAULTS: readonly FaultName[] = [
  '429 with Retry-After',
  '429 without Retry-After',
  'daily limit',
  '500',
  '503 with HTML',
  '200 with HTML',
  'reset',
  'slow',
  'truncated body',
  'cut JSON',
]

/** Every third call; a call that is never answered costs real time, so only two of those. */
const hitsOf = (fault: FaultName) => (call: number) =>
  fault === 'slow' ? call === 1 || call === 4 : call % 3 === 1 || call === 0

function survives(fault: FaultName): Check {
  return {
    name: `nothing is lost to: ${fault}`,
    async run(open) {
      await using bench = await open()
      bench.proxy.plan = { fault, hits: hitsOf(fault) }
      const timeout = fault === 'slow' ? { timeoutMs: SLOW_TIMEOUT_MS } : {}
      await bench.settle(timeout)
      await bench.fixture.create(5)
      await bench.fixture.change?.(5)
      await bench.settle(timeout)
      // A connector may put off what was hit until the source is well again.
      bench.proxy.plan = undefined
      await bench.settle(timeout)
      if (bench.proxy.faultsPlayed === 0) return fail('no call was ever hit')
      return whole(bench, `${bench.proxy.faultsPlayed} of ${bench.proxy.calls.length} calls hit`)
    },
  }
}

const tokenEnds: Check = {
  name: 'a token that ends in the middle of a run',
  async run(open) {
    await using bench = await open()
    const { fixture, proxy } = bench
    if (fixture.expireToken === undefined) return notApplicable('the credential of this source does not end by itself')
    let ended = 0
    proxy.onAnswered = async () => {
      ended += 1
      if (ended === 3) await fixture.expireToken?.()
    }
    await bench.settle()
    if (ended < 3) return fail('the run was over before the token ended')
    const refused = proxy.calls.filter(({ status }) => status === 401).length
    if (refused === 0) return fail('the fixture went on taking the token that had ended')
    return whole(bench, `refused ${refused} times, got a new one and went on`)
  },
}

/** The worst source: it says back what it was given. */
function echo(status: number) {
  return (_: unknown, request: { headers: NodeJS.Dict<string | string[]>; url?: string | undefined }) => {
    const given = `${JSON.stringify(request.headers)} ${request.url ?? ''}`
    return { status, body: JSON.stringify({ message: `refused: ${given}` }) }
  }
}

const refusedStops: Check = {
  name: 'a refused credential stops the connector, and loses nothing',
  async run(open) {
    await using bench = await open()
    bench.proxy.answer = (call, request) => (bench.proxy.calls.length > 2 ? echo(401)(call, request) : undefined)
    const error = await bench.settle().then(() => null, asError)
    if (error === null) return fail('the run ended as if nothing had happened')
    if (!isSourceError(error) || error.kind !== 'auth')
      return fail(`ended by ${error.message.slice(0, 200)}, not as auth`)
    bench.proxy.answer = undefined
    await bench.settle()
    return whole(bench, 'stopped, then went on')
  },
}

async function keptTexts(bench: Bench): Promise<readonly string[]> {
  const { rows: tables } = await bench.pool.query<{ name: string }>(
    `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
     where table_schema not in ('pg_catalog', 'information_schema') and table_type = 'BASE TABLE'`,
  )
  const texts: string[] = []
  for (const { name } of tables) {
    const { rows } = await bench.pool.query<{ text: string }>(`select t::text as text from ${name} t`)
    texts.push(...rows.map(({ text }) => `${name} ${text}`))
  }
  return texts
}

const FORMS = [SECRET, encodeURIComponent(SECRET), Buffer.from(SECRET).toString('base64')]

const keepsSecrets: Check = {
  name: 'no secret in any log line, error or table',
  async run(open) {
    await using bench = await open()
    for (const status of [500, 400, 401, 403]) {
      bench.proxy.answer = (call, request) =>
        bench.proxy.calls.length % 2 === 0 ? echo(status)(call, request) : undefined
      await bench.settle().catch((thrown: unknown) => {
        const error = asError(thrown)
        bench.said.push(`${error.message} ${error.stack}`)
      })
    }
    bench.proxy.answer = undefined
    await bench.settle()
    const texts = [...bench.said, ...(await keptTexts(bench))]
    const leak = texts.find((text) => FORMS.some((form) => text.includes(form)))
    if (leak === undefined) return pass(`${texts.length} lines, errors and rows searched`)
    return fail(`found in: ${FORMS.reduce((text, form) => text.replaceAll(form, '[secret]'), leak).slice(0, 160)}`)
  },
}

export const WIRE: readonly Check[] = [...FAULTS.map(survives), tokenEnds, refusedStops, keepsSecrets]
