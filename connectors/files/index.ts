/**
 * CSV and JSON lines as source tables, once or watched, typed by the table's declaration.
 *
 * ```ts
 * export const imports = files({ streams: [{ table: companies, path: '/data/companies-*.csv', mode: 'snapshot' }] })
 * ```
 * docs/files.md says what happens to bad lines, half-written files and files that are replaced.
 */
import { glob } from 'node:fs/promises'
import { type Connector, type ConnectorProblem, defineConnector } from '../../src/define/index.ts'
import { type FileStream, type FilesOptions, isCsv } from './options.ts'
import { fileStream } from './stream.ts'

export type { FileMode, FileStream, FilesOptions } from './options.ts'

const EVERY_MS = 5_000

function refuse({ table, name, encoding, columns = {}, ...stream }: FileStream): void {
  const problem = (text: string) => {
    throw new TypeError(`File stream '${name ?? table.name}': ${text}`)
  }
  const unknown = Object.keys(columns).find((column) => !Object.hasOwn(table.columns, column))
  if (unknown !== undefined) problem(`table '${table.id}' has no column '${unknown}'.`)
  const given = stream.header?.map((field) => Object.entries(columns).find(([, name]) => name === field)?.[0] ?? field)
  const missing = given === undefined ? undefined : table.key.find((column) => !given.includes(column))
  if (missing !== undefined) problem(`no field of its header gives the key '${missing}'.`)
  if (/^utf-?16/i.test(encoding ?? '')) problem('utf-16 cannot be read: convert the files to utf-8.')
  if (!isCsv({ table, ...stream }) && (stream.header !== undefined || stream.delimiter !== undefined)) {
    problem('header and delimiter are for CSV.')
  }
}

async function finds(path: string): Promise<boolean> {
  for await (const _ of glob(path)) return true
  return false
}

/** @throws TypeError when the declaration cannot work, RangeError for an unknown encoding */
export function files(options: FilesOptions): Connector {
  const { name = 'files', streams, watch = true, everyMs = EVERY_MS } = options
  for (const stream of streams) {
    refuse(stream)
    new TextDecoder(stream.encoding)
  }
  return defineConnector({
    name,
    streams: streams.map((stream) => fileStream(stream, { watch, everyMs })),
    async check() {
      const problems: ConnectorProblem[] = []
      for (const { path } of watch ? [] : streams) {
        if (await finds(path)) continue
        problems.push({
          code: 'CONNECT_NO_FILES',
          message: `No file is called ${path}.`,
          mend: 'Check the path: a relative one is read from the working folder.',
        })
      }
      return problems
    },
  })
}
