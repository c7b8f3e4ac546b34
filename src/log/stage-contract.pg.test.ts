/** The embedded log and the runner behind it, against what every log owes its stages. */
import { append, barrier, prepared, row, start } from '../../test/support/stage.ts'
import { describeStageContract, type RunningStage } from '../../test/support/stage-contract.ts'
import { EmbeddedLog } from './embedded/embedded-log.ts'
import type { Entry } from './log.ts'
import { START } from './position.ts'

describeStageContract('embedded', async () => {
  const db = await prepared()
  const running: RunningStage[] = []
  const logs: EmbeddedLog[] = []
  const sent: { readonly lsn: number; readonly entries: readonly Entry[] }[] = []
  const send = async (lsn: number, entries: readonly Entry[]) => {
    sent.push({ lsn, entries })
    for (const log of logs) await append(log, lsn, entries)
  }
  return {
    pool: db.pool,
    append: (lsn, count, id) =>
      send(
        lsn,
        Array.from({ length: count }, (_, index) => row(lsn, index, id === undefined ? {} : { after: { id } })),
      ),
    barrier: (lsn) => send(lsn, [barrier(lsn)]),
    start: async (stage) => {
      const log = new EmbeddedLog({ stages: new Map([[stage.name, START]]) })
      // The slot sends again what was not confirmed: here that is everything.
      for (const { lsn, entries } of sent) await append(log, lsn, entries)
      logs.push(log)
      const started = start(db.pool, stage, { log })
      running.push(started)
      return started
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of running) await one[Symbol.asyncDispose]()
      await db[Symbol.asyncDispose]()
    },
  }
})
