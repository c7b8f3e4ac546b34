/**
 * Who is measured: our capture and Debezium, each a process of its own that reads a slot and writes a topic.
 *
 * Invariants: its processor time and memory are the kernel's word; the process, its slot, topic and files are gone when
 * the measurement is over, and the process is also when the bench is killed.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { asError } from '../src/errors.ts'
import type { Compression } from '../src/log/kafka/compress.ts'
import { type DebeziumVariant, startDebezium } from '../test/support/kafka/debezium.ts'
import type { PublishOrder } from './children/publish.ts'
import {
  adoptSlot,
  type CapturedSetting,
  copySlot,
  createTopic,
  dropSlot,
  PUBLICATION,
  TABLE,
} from './kafka-setting.ts'

const END_WITHIN_MS = 10_000

export interface Subject extends AsyncDisposable {
  readonly process: ChildProcess
}

export interface Run {
  readonly slot: string
  readonly prefix: string
}

export type Start = (setting: CapturedSetting, run: Run) => Promise<Subject>

export const ours =
  (compression: Compression): Start =>
  async ({ database, broker }, run) => {
    await adoptSlot(database.pool, run.slot)
    const order: PublishOrder = {
      ...run,
      url: database.url,
      publication: PUBLICATION,
      table: TABLE,
      brokers: broker.brokers,
      compression,
    }
    const file = fileURLToPath(new URL('./children/publish.ts', import.meta.url))
    // BENCH_NODE_FLAGS: --cpu-prof and the like.
    const given = (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter((flag) => flag !== '')
    const child = fork(file, [], {
      stdio: ['ignore', 2, 2, 'ipc'],
      execArgv: ['--disable-warning=TimeoutNegativeWarning', ...given],
    })
    child.send(order)
    return { process: child, [Symbol.asyncDispose]: () => endProcess(child) }
  }

export const debezium =
  (variant: DebeziumVariant): Start =>
  async ({ database, broker }, run) => {
    const { url, name } = database
    const order = { ...run, url, database: name, publication: PUBLICATION, table: TABLE, brokers: broker.brokers }
    const started = await startDebezium(order, variant)
    const watcher = spawn('sh', ['-c', `read _; kill -9 ${started.process.pid ?? 0}`], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    return {
      process: started.process,
      [Symbol.asyncDispose]: async () => {
        await started[Symbol.asyncDispose]()
        watcher.kill('SIGKILL')
      },
    }
  }

export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const patience = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS)
  await exited
  clearTimeout(patience)
}

/** @throws when it has ended */
export function throwIfEnded({ process: { exitCode, signalCode } }: Subject): void {
  if (exitCode !== null || signalCode !== null) throw new Error(`It ended with ${signalCode ?? `code ${exitCode}`}.`)
}

export interface Measured extends Run {
  readonly subject: Subject
  readonly pid: number
  readonly topic: string
}

/** One subject after the other; one that fails is reported, and the others are measured all the same. */
export async function measureSubject<T>(
  setting: CapturedSetting,
  name: string,
  start: Start,
  measure: (measured: Measured) => Promise<T>,
): Promise<T | { readonly failed: string }> {
  const { context, database, admin } = setting
  const run = { slot: `bench_kafka_${name.toLowerCase()}`, prefix: name }
  const topic = `${run.prefix}.${TABLE}`
  context.say(`kafka: ${name}`)
  try {
    await using stack = new AsyncDisposableStack()
    await copySlot(database.pool, run.slot)
    stack.defer(() => dropSlot(database.pool, run.slot))
    await createTopic(admin, topic)
    stack.defer(() => admin.deleteTopics({ topics: [topic] }))
    const subject = stack.use(await start(setting, run))
    const { pid } = subject.process
    if (pid === undefined) throw new Error('It could not be started.')
    return await measure({ ...run, subject, pid, topic })
  } catch (error) {
    context.signal.throwIfAborted()
    process.exitCode = 1
    context.say(`kafka: ${name} failed: ${asError(error).stack}`)
    return { failed: asError(error).message }
  }
}
