/** Checks of how a connector runs: whole, repeatable, resumed, ended, within its budget. */
import { setTimeout as wait } from 'node:timers/promises'
import { checkConnector } from '../../connect/check.ts'
import { sourceContext } from '../../connect/context.ts'
import { runPass } from '../../connect/pass.ts'
import { prepareConnector } from '../../connect/runner.ts'
import type { Bench } from '../bench.ts'
import { Killed } from '../bench.ts'
import { type Check, fail, notApplicable, type Outcome, pass, whole } from '../check.ts'
import { countRows, rowVersions } from '../compare.ts'

const MOST_KILLS = 8
const ABORT_MS = 1_000

const finds: Check = {
  name: 'its own check finds nothing wrong',
  async run(open) {
    await using bench = await open()
    const { options, book, connector } = bench.process()
    const problems = await checkConnector(connector, sourceContext(options, book, 'check'))
    return problems.length === 0 ? pass('no problem') : fail(problems.map(({ message }) => message).join(' '))
  },
}

const arrives: Check = {
  name: 'everything arrives',
  async run(open) {
    await using bench = await open()
    await bench.settle()
    const rows = await countRows(bench.pool, bench.connector())
    if (rows === 0) return fail('no row at all: the fixture must begin with records')
    return whole(bench, `${rows} rows`)
  },
}

async function callsOfFirstRound(bench: Bench): Promise<readonly string[]> {
  const process = bench.process()
  await prepareConnector(process.options)
  await process.round()
  return bench.proxy.calls.map(({ method, path, body }) => `${method} ${path} ${body}`).sort()
}

const repeats: Check = {
  name: 'two runs from one start make the same calls',
  async run(open) {
    await using first = await open()
    const calls = await callsOfFirstRound(first)
    // A connector that looks at the machine's clock now sees another time.
    await wait(1_100)
    await using second = await open()
    const again = await callsOfFirstRound(second)
    const other = again.find((call, at) => call !== calls[at])
    if (other === undefined && calls.length === again.length) return pass(`${calls.length} calls, twice`)
    return fail(`the second run asked otherwise: ${(other ?? 'fewer calls').slice(0, 200)}`)
  },
}

const writesOnce: Check = {
  name: 'a second run, and one from nothing, write nothing',
  async run(open) {
    await using bench = await open()
    await bench.settle()
    const before = await rowVersions(bench.pool, bench.connector())
    const again = await bench.settle()
    await bench.pool.query('truncate rescore.connector_state, rescore.connector_memory')
    await bench.fixture.forget?.()
    const anew = await bench.settle()
    const after = await rowVersions(bench.pool, bench.connector())
    if (before === after) return pass('0 rows written')
    return fail(`${again.written} rows written by the second run, ${anew.written} by the one from nothing`)
  },
}

async function killedAt(bench: Bench, kill: number, where: 'message' | 'landed'): Promise<string | null> {
  let seen = 0
  const count = () => {
    seen += 1
    if (seen === kill) throw new Killed(`killed at ${where} ${kill}`)
  }
  try {
    await bench.settle({ faults: where === 'message' ? { onMessage: count } : { afterLand: count } })
  } catch (error) {
    if (!(error instanceof Killed)) throw error
  }
  await bench.fixture.change?.(3)
  await bench.settle()
  const wrong = await bench.wrong()
  return wrong === null ? null : `killed at ${where} ${kill}: ${wrong}`
}

const resumes: Check = {
  name: 'killed at every k-th message and resumed: the same tables',
  async run(open) {
    let messages = 0
    let landings = 0
    {
      await using bench = await open()
      await bench.settle({
        faults: {
          onMessage: () => {
            messages += 1
          },
          afterLand: () => {
            landings += 1
          },
        },
      })
    }
    const points = (most: number) => {
      const step = Math.max(1, Math.floor(most / MOST_KILLS))
      return Array.from({ length: Math.min(most, MOST_KILLS) }, (_, at) => at * step + 1)
    }
    const kills = [
      ...points(messages).map((at) => [at, 'message'] as const),
      ...points(Math.min(landings, 3)).map((at) => [at, 'landed'] as const),
    ]
    for (const [at, where] of kills) {
      await using bench = await open()
      const wrong = await killedAt(bench, at, where)
      if (wrong !== null) return fail(wrong)
    }
    return pass(`${kills.length} kills over ${messages} messages and ${landings} landings`)
  },
}

async function until(holds: () => boolean, mostMs: number): Promise<boolean> {
  const started = performance.now()
  while (!holds()) {
    if (performance.now() - started > mostMs) return false
    await wait(5)
  }
  return true
}

const aborts: Check = {
  name: 'an abort ends the run within a second and leaves no socket',
  async run(open) {
    await using bench = await open()
    const stop = new AbortController()
    const { options, book, connector } = bench.process({ signal: stop.signal, timeoutMs: 60_000 })
    await prepareConnector(options)
    bench.proxy.isHolding = true
    const [stream] = connector.streams
    if (stream === undefined) return fail('the connector has no stream')
    let ended = false
    const run = runPass(options, stream, book, { isWaitedFor: true }).then(
      () => 'finished',
      (error: unknown) => (error === stop.signal.reason ? 'aborted' : `failed: ${String(error)}`),
    )
    const watched = run.finally(() => {
      ended = true
    })
    if (!(await until(() => bench.proxy.calls.length > 0 || ended, 20_000)) || ended) {
      return fail(`no call was waiting when the run should be aborted: ${ended ? await run : 'nothing was asked'}`)
    }
    const started = performance.now()
    stop.abort(new Error('the kit aborts'))
    if (!(await until(() => ended, ABORT_MS))) return fail(`still running ${ABORT_MS} ms after the abort`)
    const tookMs = performance.now() - started
    const how = await watched
    if (how !== 'aborted') return fail(how)
    const isClosed = await until(() => bench.proxy.openSockets === 0, ABORT_MS)
    return isClosed ? pass(`ended in ${tookMs.toFixed(0)} ms`) : fail(`${bench.proxy.openSockets} sockets stay open`)
  },
}

/** Most calls in any window of `perMs`. */
function mostIn(times: readonly number[], perMs: number): number {
  let most = 0
  let from = 0
  for (let to = 0; to < times.length; to += 1) {
    while ((times[to] ?? 0) - (times[from] ?? 0) >= perMs) from += 1
    most = Math.max(most, to - from + 1)
  }
  return most
}

const withinBudget: Check = {
  name: 'never over budget, counted by the server',
  async run(open): Promise<Outcome> {
    await using bench = await open()
    const { budgets, http } = bench.connector()
    await bench.fixture.create((bench.spec.pageSize ?? 100) * 20)
    await bench.settle()
    const keyOf = (method: string, path: string) => bench.spec.budgetOf?.(method, path) ?? budgets[0]?.key
    const seen: string[] = []
    let reached = false
    for (const budget of budgets) {
      const times = bench.proxy.calls
        .filter(({ method, path }) => keyOf(method, path) === budget.key)
        .filter(({ status }) => status !== 304 || http?.unchangedIsFree !== budget.key)
        .map(({ atMs }) => atMs)
      const most = mostIn(times, budget.perMs)
      // What was in flight when the clock jumped is counted where it arrived.
      if (most > budget.calls + budget.concurrency) {
        return fail(`${most} calls within ${budget.perMs} ms of '${budget.key}', which allows ${budget.calls}`)
      }
      reached ||= times.length > budget.calls + budget.concurrency
      seen.push(`'${budget.key}': at most ${most} of ${budget.calls}`)
    }
    return reached
      ? pass(seen.join(', '))
      : notApplicable('too few calls to reach the budget: give the connector a smaller one here')
  },
}

export const RUNNING: readonly Check[] = [finds, arrives, repeats, writesOnce, resumes, aborts, withinBudget]
