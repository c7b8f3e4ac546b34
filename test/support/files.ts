/** A folder of files and a table they are read into, on a clock of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FileStream, type FilesOptions, files } from '../../connectors/files/index.ts'
import { BudgetBook } from '../../src/connect/budget.ts'
import type { ConnectFaults, RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { bigint, boolean, date, defineTable, json, number, text } from '../../src/define/index.ts'
import { createTestDatabase } from './pg.ts'

const people = defineTable({
  name: 'files.people',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), size: number(), active: boolean(), since: date(), raw: json() },
})

const EVERY_MS = 5_000

export async function setUp(
  stream: Omit<FileStream, 'table' | 'path'> & { readonly pattern?: string } = {},
  options: Omit<FilesOptions, 'streams'> = {},
) {
  const database = await createTestDatabase('files')
  const folder = await mkdtemp(join(tmpdir(), 'rescore-files-'))
  const { pattern = '*', ...rest } = stream
  const connector = files({
    everyMs: EVERY_MS,
    ...options,
    streams: [{ table: people, path: join(folder, pattern), ...rest }],
  })
  const said: string[] = []
  const log = { info: () => undefined, warn: (_: object, message: string) => void said.push(message) }
  let now = Date.UTC(2026, 0, 1)
  const run: RunConnectorOptions = {
    pool: database.pool,
    connector,
    signal: new AbortController().signal,
    log,
    clock: { now: () => now },
  }
  await prepareConnector(run)
  const [declared] = connector.streams
  if (declared === undefined) throw new Error('no stream')
  const pass = async (faults?: ConnectFaults) => {
    const landed = await runPass({ ...run, ...(faults === undefined ? {} : { faults }) }, declared, new BudgetBook())
    now += EVERY_MS
    return landed
  }
  return {
    folder,
    file: (name: string) => join(folder, name),
    said,
    pass,
    /** A look, and the one that finds it at rest. */
    async settle() {
      const first = await pass()
      const second = await pass()
      return { written: first.written + second.written, rejected: first.rejected + second.rejected }
    },
    rows: async (columns = 'id, name') =>
      (await database.pool.query(`select ${columns} from files.people order by id`)).rows,
    ids: async () =>
      (await database.pool.query<{ id: bigint }>('select id from files.people order by id')).rows.map(({ id }) =>
        Number(id),
      ),
    rejects: async () =>
      (
        await database.pool.query<{ key: string; reason: string }>(
          'select key, reason from rescore.reject order by key',
        )
      ).rows,
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true })
      await database[Symbol.asyncDispose]()
    },
  }
}

export const csv = (from: number, to: number, mark = '') => {
  const lines = Array.from({ length: to - from + 1 }, (_, at) => `${from + at},Person ${from + at}${mark}`)
  return `id,name\n${lines.join('\n')}\n`
}
