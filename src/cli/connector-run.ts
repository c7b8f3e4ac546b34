/** What commands that run a connector by hand share: finding it, and running it with the project's own settings. */
import type { RunConnectorOptions } from '../connect/options.ts'
import { prepareConnector } from '../connect/runner.ts'
import type { Pool } from '../db/pool.ts'
import type { AnyStream, Connector } from '../define/index.ts'
import { usage } from './command.ts'
import { note } from './output.ts'

export function findConnector(connectors: readonly Connector[], name: string): Connector {
  const found = connectors.find((connector) => connector.name === name)
  if (found !== undefined) return found
  const names = connectors.map((connector) => connector.name).join(', ')
  throw usage(`This project has no connector '${name}'.`, `It has: ${names || 'none'}.`)
}

export function findStream(connector: Connector, name: string): AnyStream {
  const found = connector.streams.find((stream) => stream.name === name)
  if (found !== undefined) return found
  const names = connector.streams.map((stream) => stream.name).join(', ')
  throw usage(`Connector '${connector.name}' has no stream '${name}'.`, `It has: ${names}.`)
}

/** Tables are made where they are missing; warnings go to stderr. */
export async function runOptions(pool: Pool, connector: Connector, signal: AbortSignal): Promise<RunConnectorOptions> {
  const options = {
    pool,
    connector,
    signal,
    log: {
      info: () => undefined,
      warn: (fields: object, message: string) => note(`${message} ${JSON.stringify(fields)}`),
    },
  }
  await prepareConnector(options)
  return options
}
