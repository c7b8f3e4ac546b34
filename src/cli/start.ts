/** `rescore start`: the service against DATABASE_URL, until it is told to stop. */
import type { Command } from 'commander'
import { loadProject, readEnvironment } from '../config.ts'
import { RescoreError } from '../errors.ts'
import { areFaultsRequested } from '../faults.ts'
import { startService } from '../service.ts'
import { command } from './command.ts'
import { createLogger } from './logger.ts'

export function refuseTestFaults(): void {
  if (!areFaultsRequested()) return
  throw new RescoreError({
    code: 'CONFIG_TEST_FAULTS',
    fate: 'stop',
    message: 'RESCORE_TEST_FAULTS is set: it makes the program kill itself or misbehave, for tests only.',
    mend: 'unset RESCORE_TEST_FAULTS',
  })
}

export function startCommand(signal: AbortSignal): Command {
  return command('start', 'Run the service against DATABASE_URL until it is stopped', [
    ['DATABASE_URL=postgresql://… HUBSPOT_ACCESS_TOKEN=… rescore start', 'connectors, capture, recompute and score'],
    ['LOG_LEVEL=debug rescore start | jq .msg', 'with every change of a classification in the log'],
  ]).action(async () => {
    refuseTestFaults()
    const environment = readEnvironment(process.env)
    const { DATABASE_URL: url } = environment
    if (url === undefined) {
      throw new RescoreError({
        code: 'CONFIG_DATABASE_URL',
        fate: 'stop',
        message: 'DATABASE_URL is not set.',
        mend: 'Set it to a PostgreSQL 15 or newer with wal_level=logical; or try `rescore dev`, which brings its own.',
      })
    }
    const logger = createLogger(environment.LOG_LEVEL)
    const config = await loadProject(process.cwd())
    const service = await startService({
      url,
      config,
      slot: environment.RESCORE_SLOT,
      publication: environment.RESCORE_PUBLICATION,
      signal,
      log: logger,
      report: (event) => {
        if (event.type === 'failed') logger.warn(event, 'A stage failed and will repeat.')
        else if (event.type === 'scored' && event.from !== null) logger.debug(event, 'A classification changed.')
      },
      reportConnector: ({ connector, stream, event, landed }) => {
        if (event === 'landed' && landed !== undefined && landed.written + landed.rejected > 0) {
          logger.debug({ connector, stream, ...landed }, 'Records landed.')
        }
      },
    })
    const entities = [...service.graph.entities.keys()]
    logger.info({ entities, models: config.models.map((model) => model.name) }, 'Rescore runs.')
    await service.done
    logger.info('Rescore has stopped.')
  })
}
