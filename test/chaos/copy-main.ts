/**
 * A connector that copies, as a program of its own that the chaos tests kill: at the n-th message taken from its stream, or
 * before or after the n-th landing (RESCORE_TEST_FAULTS).
 * Invariant: it never outlives the test: when the channel to it closes, it ends.
 */
import { runConnector } from '../../src/connect/runner.ts'
import { createPool } from '../../src/db/pool.ts'
import { faultsFromEnvironment } from '../../src/faults.ts'
import { type CopyOrder, copied } from './copy-tables.ts'

process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))

const order: CopyOrder = JSON.parse(process.argv[2] ?? '{}')
const pool = createPool({ url: order.target, applicationName: 'rescore copying', max: 4 })
const faults = faultsFromEnvironment()
const tell = (fields: object, message: string) => process.send?.({ message, ...fields })
await runConnector({
  pool,
  connector: copied(order),
  signal: new AbortController().signal,
  log: { info: () => undefined, warn: tell },
  faults: {
    onMessage: () => void faults?.hit('copy:message'),
    beforeLand: () => faults?.hit('copy:before-land'),
    afterLand: () => faults?.hit('copy:after-land'),
  },
}).catch((error: Error) => tell({ error: error.message }, 'ended'))
process.exit()
