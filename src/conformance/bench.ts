/**
 * Where one check is made: a fresh fixture behind the kit's proxy, empty tables, and connectors run as in a process of
 * their own, on the fixture's clock.
 *
 * Invariants: nothing waits in real time but a call that is never answered; what any run logs or throws is kept, so that
 * it can be searched for the secret; tables are emptied only in a database made for the kit.
 */

import type { BudgetBook } from '../connect/budget.ts'
import { redactorOf } from '../connect/http/redact.ts'
import type { Landed } from '../connect/landing.ts'
import { type ConnectFaults, isSourceError, type RunConnectorOptions } from '../connect/options.ts'
import { runPass } from '../connect/pass.ts'
import { prepareConnector } from '../connect/runner.ts'
import { sleep } from '../db/backoff.ts'
import { type Pool, quoteTable } from '../db/pool.ts'
import type { AnyStream, Connector } from '../define/index.ts'
import { asError, RescoreError } from '../errors.ts'
import { differences, tablesOf } from './compare.ts'
import type { ConformanceSpec, Fixture } from './fixture.ts'
import { jumpingBudgets } from './jumping.ts'
import { KitProxy, type KitWire } from './proxy.ts'
import { KitRelay } from './relay.ts'

export const SCRATCH_PREFIX = 'rescore_conformance'
export const SECRET = 'kit-secret-8f3a1c77d2'
const DAY_MS = 86_400_000
const MOST_ROUNDS = 12
/** How often a pass that failed is repeated, as the runtime does. */
const MOST_REPEATS = 5
const CALL_TIMEOUT_MS = 10_000

/** A kill: what was not committed is gone. */
export class Killed extends Error {}

async function emptyDatabase(pool: Pool, connector: Connector): Promise<void> {
  const { rows } = await pool.query<{ name: string }>('select current_database() as name')
  const name = rows[0]?.name ?? ''
  if (!name.startsWith(SCRATCH_PREFIX)) {
    throw new RescoreError({
      code: 'CONNECT_KIT_DATABASE',
      fate: 'stop',
      message: `The conformance kit empties tables, and '${name}' was not made for it.`,
      mend: `Give it a database whose name begins with '${SCRATCH_PREFIX}'.`,
    })
  }
  for (const table of tablesOf(connector)) await pool.query(`drop table if exists ${quoteTable(table.id)}`)
  await pool.query(`truncate rescore.connector_state, rescore.connector_memory, rescore.listed, rescore.source_field,
    rescore.stream_status, rescore.stage_status, rescore.reject, rescore.alias`)
}

export interface RunOptions {
  readonly faults?: ConnectFaults
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export class Bench implements AsyncDisposable {
  readonly pool: Pool
  readonly spec: ConformanceSpec
  readonly fixture: Fixture
  readonly proxy: KitWire
  readonly #url: string
  /** Every line logged, and every error with its stack. */
  readonly said: string[] = []

  private constructor(pool: Pool, spec: ConformanceSpec, fixture: Fixture, proxy: KitWire, url: string) {
    this.pool = pool
    this.spec = spec
    this.fixture = fixture
    this.proxy = proxy
    this.#url = url
  }

  static async open(pool: Pool, spec: ConformanceSpec): Promise<Bench> {
    const fixture = await spec.fixture({ secret: SECRET, pool })
    const Wire = spec.wire === 'postgres' ? KitRelay : KitProxy
    const proxy = new Wire(fixture.url, fixture.clock)
    const bench = new Bench(pool, spec, fixture, proxy, await proxy.listen())
    await bench.empty()
    return bench
  }

  async empty(): Promise<void> {
    await emptyDatabase(this.pool, this.connector())
    await this.spec.prepare?.(this.pool)
  }

  connector(): Connector {
    return this.spec.connector({ url: this.#url, secret: SECRET })
  }

  process(options: RunOptions = {}): KitProcess {
    return new KitProcess(this, this.connector(), options)
  }

  /** Rounds of all streams, as one process, until one writes nothing. */
  async settle(options: RunOptions = {}): Promise<Landed> {
    return this.process(options).settle()
  }

  /** @returns what is wrong, or null */
  async wrong(): Promise<string | null> {
    return differences(this.pool, this.connector(), await this.fixture.truth())
  }

  /** What was set aside, one text for each. */
  async rejects(): Promise<readonly string[]> {
    const { rows } = await this.pool.query<{ text: string }>(
      `select concat(key, ': ', code, ' ', left(reason, 150)) as text from rescore.reject`,
    )
    return rows.map(({ text }) => text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]()
    await this.fixture[Symbol.asyncDispose]()
  }
}

/** One process's life of a connector: its own budgets, its own module state. */
export class KitProcess {
  readonly #bench: Bench
  readonly connector: Connector
  readonly #run: RunConnectorOptions
  readonly #book: BudgetBook

  constructor(bench: Bench, connector: Connector, options: RunOptions) {
    this.#bench = bench
    this.connector = connector
    const { clock } = bench.fixture
    this.#book = jumpingBudgets(clock)
    const say = (fields: object, message: string) => void bench.said.push(`${JSON.stringify(fields)} ${message}`)
    this.#run = {
      pool: bench.pool,
      connector,
      signal: options.signal ?? new AbortController().signal,
      clock,
      budgets: this.#book,
      waiting: {
        sleep: async (ms, signal) => {
          await sleep(0, signal)
          clock.advance(Math.ceil(ms))
        },
        random: () => 0.5,
        timeoutMs: options.timeoutMs ?? CALL_TIMEOUT_MS,
      },
      log: { info: say, warn: say },
      ...(options.faults === undefined ? {} : { faults: options.faults }),
    }
  }

  get options(): RunConnectorOptions {
    return this.#run
  }

  get book(): BudgetBook {
    return this.#book
  }

  /** A pass that fails is repeated; a kill, an abort and what stops a connector are thrown. */
  async #pass(stream: AnyStream): Promise<Landed> {
    for (let repeats = 0; ; repeats += 1) {
      try {
        return await runPass(this.#run, stream, this.#book, { isWaitedFor: true })
      } catch (thrown) {
        if (thrown instanceof Killed || this.#run.signal.aborted) throw thrown
        const error = redactorOf(this.connector).error(asError(thrown))
        this.#bench.said.push(`${error.message} ${error.stack}`)
        const isFinal = isSourceError(error) && (error.kind === 'auth' || error.kind === 'config')
        if (isFinal || repeats >= MOST_REPEATS) throw error
      }
    }
  }

  async round(): Promise<Landed> {
    let written = 0
    let rejected = 0
    for (const stream of this.connector.streams) {
      const landed = await this.#pass(stream)
      written += landed.written
      rejected += landed.rejected
    }
    return { written, rejected }
  }

  async settle(): Promise<Landed> {
    await prepareConnector(this.#run)
    const { fixture, spec } = this.#bench
    let written = 0
    let rejected = 0
    for (let round = 1; round <= MOST_ROUNDS; round += 1) {
      const landed = await this.round()
      written += landed.written
      rejected += landed.rejected
      fixture.clock.advance(spec.settleMs ?? DAY_MS)
      if (round > 1 && landed.written === 0) break
    }
    return { written, rejected }
  }
}
