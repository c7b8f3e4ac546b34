/** Holds a run of a scripted tap open until it is killed: `node hold.ts <folder>`; for running.pg.test.ts. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { singer } from '../../connectors/singer/index.ts'
import { BudgetBook } from '../../src/connect/budget.ts'
import { sourceContext } from '../../src/connect/context.ts'
import { Tap, TapRun } from '../../src/connect/singer/run.ts'
import { orders } from './harness.ts'
import { PYTHON, SCRIPTED } from './python.ts'

const folder = process.argv[2] ?? ''
const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
const connector = singer({
  name: 'books',
  command: [PYTHON, '-I', SCRIPTED],
  python: PYTHON,
  config,
  folder: join(folder, 'tap'),
  streams: [{ stream: 'orders', table: orders }],
})
const log = { info: () => undefined, warn: () => undefined }
const signal = new AbortController().signal
const context = sourceContext({ connector, signal, log }, new BudgetBook(), 'orders')
const [stream] = connector.streams
if (stream === undefined || !('singer' in stream)) throw new Error('no Singer stream')
const run = await TapRun.start(await Tap.open(stream.singer.tap, context), [], {}, context, 'being held')
for (;;) await run.next(1_000)
