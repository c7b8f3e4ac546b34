/** A scripted tap (taps/scripted.py) as a connector in a database of its own, run pass by pass as the runtime does. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { type SingerOptions, singer } from '../../connectors/singer/index.ts'
import { BudgetBook } from '../../src/connect/budget.ts'
import { redactorOf } from '../../src/connect/http/redact.ts'
import type { Landed } from '../../src/connect/landing.ts'
import type { ConnectFaults, RunConnectorOptions } from '../../src/connect/options.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { syncStream } from '../../src/connect/sync.ts'
import {
  bigint,
  type Connector,
  decimal,
  defineTable,
  json,
  type SingerStreamSpec,
  type Table,
  text,
} from '../../src/define/index.ts'
import { asError } from '../../src/errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { PYTHON, SCRIPTED } from './python.ts'

export const orders = defineTable({
  name: 'books.orders',
  key: 'id',
  columns: { id: bigint().notNull(), title: text(), price: decimal(), raw: json() },
})

export type Step = Readonly<Record<string, unknown>>

const PROPERTIES = { id: { type: 'integer' }, title: { type: ['null', 'string'] }, price: { type: ['null', 'number'] } }
export const schema: Step = {
  say: { type: 'SCHEMA', stream: 'orders', schema: { properties: PROPERTIES }, key_properties: ['id'] },
}
export const record = (id: number | string, more: Readonly<Record<string, unknown>> = {}, version?: number): Step => ({
  say: { type: 'RECORD', stream: 'orders', record: { id, ...more }, ...(version === undefined ? {} : { version }) },
})
export const state = (value: unknown): Step => ({ say: { type: 'STATE', value } })
export const activate = (version: number): Step => ({ say: { type: 'ACTIVATE_VERSION', stream: 'orders', version } })

const seenFile = z.object({
  flags: z.array(z.string()),
  pid: z.number(),
  config: z.record(z.string(), z.unknown()),
  state: z.unknown(),
  stateText: z.string().nullable(),
  catalog: z.object({ streams: z.array(z.looseObject({})) }).nullable(),
  environment: z.array(z.string()),
  mode: z.string(),
})
/** What a run of the tap was called with. */
export type Seen = z.infer<typeof seenFile>

export interface ScriptOptions {
  readonly tap?: Partial<SingerOptions>
  readonly stream?: Partial<SingerStreamSpec>
  readonly config?: Readonly<Record<string, unknown>>
  readonly signal?: AbortSignal
}

export class Script implements AsyncDisposable {
  readonly folder: string
  readonly database: TestDatabase
  readonly connector: Connector
  readonly said: string[] = []
  readonly #signal: AbortSignal

  private constructor(folder: string, database: TestDatabase, connector: Connector, signal: AbortSignal) {
    this.folder = folder
    this.database = database
    this.connector = connector
    this.#signal = signal
  }

  /** @param runs what each run of the tap does; the last one again from then on */
  static async open(runs: readonly (readonly Step[])[], options: ScriptOptions = {}): Promise<Script> {
    const folder = await mkdtemp(join(tmpdir(), 'rescore-singer-'))
    const script = join(folder, 'script')
    mkdirSync(script)
    const config = {
      runs,
      folder: script,
      streams: { orders: { schema: { properties: PROPERTIES } }, customers: { schema: { properties: {} } } },
      ...options.config,
    }
    const connector = singer({
      name: 'books',
      command: [PYTHON, '-I', SCRIPTED],
      python: PYTHON,
      config,
      folder: join(folder, 'tap'),
      streams: [{ stream: 'orders', table: orders, ...options.stream }],
      ...options.tap,
    })
    const signal = options.signal ?? new AbortController().signal
    const made = new Script(folder, await createTestDatabase('singer'), connector, signal)
    await prepareConnector(made.options())
    return made
  }

  /** The same tap in the same folder under another declaration. */
  options(faults: ConnectFaults = {}): RunConnectorOptions {
    const say = (fields: object, message: string) => void this.said.push(`${message} ${JSON.stringify(fields)}`)
    const log = { info: say, warn: say }
    return { pool: this.database.pool, connector: this.connector, signal: this.#signal, log, faults }
  }

  /**
   * One pass, as a process of its own would make it.
   * @param extent 'full': what `rescore sync --full` does, which keeps a checkpoint of its own
   * @throws what the pass threw, cleaned of secrets
   */
  async pass(faults: ConnectFaults = {}, extent: 'next' | 'full' = 'next'): Promise<Landed> {
    const [stream] = this.connector.streams
    if (stream === undefined) throw new Error('no stream')
    try {
      return await syncStream(this.options(faults), stream, new BudgetBook(), { kind: extent })
    } catch (thrown) {
      throw redactorOf(this.connector).error(asError(thrown))
    }
  }

  async rows(table: Table = orders): Promise<readonly unknown[]> {
    const { rows } = await this.database.query<{ row: unknown }>(
      `select to_jsonb(t) as row from ${table.id} t order by ${table.key.join(', ')}`,
    )
    return rows.map(({ row }) => row)
  }

  async ids(): Promise<readonly number[]> {
    const { rows } = await this.database.query<{ id: bigint }>('select id from books.orders order by id')
    return rows.map(({ id }) => Number(id))
  }

  /** How the runs of the tap were called, one after the other. */
  seen(): readonly Seen[] {
    const script = join(this.folder, 'script')
    const count = readdirSync(script).filter((name) => /^run-\d+\.json$/.test(name)).length
    return Array.from({ length: count }, (_, at) =>
      seenFile.parse(JSON.parse(readFileSync(join(script, `run-${at + 1}.json`), 'utf8'))),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A process nobody has waited for yet is dead all the same.
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
