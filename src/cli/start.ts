/**
 * `rescore start`: the service against DATABASE_URL, until it is told to stop.
 *
 * Without KAFKA_BROKERS everything runs in this process. With it this process takes the parts that `--stages` names, and
 * any number of others take theirs.
 */
import type { Command } from 'commander'
import type { Logger } from 'pino'
import { loadProject, readEnvironment } from '../config.ts'
import type { CapturedBy } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import { areFaultsRequested } from '../faults.ts'
import { type KafkaSettings, readKafkaSettings } from '../log/kafka/settings.ts'
import { Health } from '../observe/health.ts'
import { Metrics } from '../observe/metrics.ts'
import { type ServiceOptions, startService } from '../service.ts'
import { PARTS, type Part, startSharedService } from '../shared-service.ts'
import { type AsideOptions, superseding, untilDeployedAgain } from '../superseded.ts'
import { command, usage } from './command.ts'
import { drained } from './drain.ts'
import { ownFolder, readOwnManifest } from './init-dependency.ts'
import { createLogger } from './logger.ts'
import { serveProbes } from './serve-probes.ts'

export function refuseTestFaults(): void {
  if (!areFaultsRequested()) return
  throw new RescoreError({
    code: 'CONFIG_TEST_FAULTS',
    fate: 'stop',
    message: 'RESCORE_TEST_FAULTS is set: it makes the program kill itself or misbehave, for tests only.',
    mend: 'unset RESCORE_TEST_FAULTS',
  })
}

function isPart(text: string): text is Part {
  return PARTS.some((part) => part === text)
}

/** @throws RescoreError CLI_USAGE for a part that does not exist, and for a choice where there is none */
export function parseParts(
  text: string | undefined,
  kafka: KafkaSettings | null,
  capture?: CapturedBy,
): ReadonlySet<Part> {
  if (text === undefined) return new Set(PARTS.filter((part) => part !== 'capture' || capture !== 'debezium'))
  const names = text.split(',').map((name) => name.trim())
  const parts = names.filter(isPart)
  const unknown = names.find((name) => !isPart(name))
  if (unknown !== undefined) throw usage(`'${unknown}' is no part of the service.`, `Choose among ${PARTS.join(', ')}.`)
  if (capture === 'debezium' && parts.includes('capture')) {
    throw usage('A Debezium connector captures for this project.', 'Leave capture out of --stages.')
  }
  if (kafka === null && new Set(parts).size < PARTS.length) {
    throw usage(
      'Without Kafka one process does everything.',
      'Leave out --stages, or set KAFKA_BROKERS to share the work.',
    )
  }
  return new Set(parts)
}

interface StartOptions {
  readonly stages?: string
  readonly rollback?: boolean
}

interface Aside extends Pick<AsideOptions, 'isScoring'> {
  readonly options: ServiceOptions
  readonly logger: Logger
  readonly health: Health
}

/**
 * Runs `once` again and again: it ends when other definitions are deployed, and then this process stands aside until its
 * own are deployed again. @throws what else it ends with
 */
async function standingAside(once: () => Promise<void>, { options, isScoring, logger, health }: Aside): Promise<void> {
  const { url, config, signal } = options
  const onError = (error: Error) => logger.warn({ error: error.message }, 'An idle database connection was lost.')
  const own = { url, config, isScoring, signal, onError }
  for (;;) {
    try {
      return await once()
    } catch (error) {
      const other = signal.aborted ? null : await superseding(error, own)
      if (other === null) throw error
      const { code, message, mend } = other
      logger.warn({ code, mend }, `${message} This process steps aside.`)
      // Not ready, and nothing of it is broken.
      health.again()
      health.started()
      health.set('definitions', 'ended', `${code}: ${message}`)
      await untilDeployedAgain(own)
      if (signal.aborted) return
      logger.info('The definitions of this process are deployed again: it goes on.')
      health.again()
    }
  }
}

/** Resolves with what ends when the service does. */
async function start(
  options: ServiceOptions,
  parts: ReadonlySet<Part>,
  kafka: KafkaSettings | null,
): Promise<{ readonly entities: readonly string[]; readonly done: Promise<void> }> {
  const { graph, done } =
    kafka === null ? await startService(options) : await startSharedService({ ...options, kafka, parts })
  return { entities: [...graph.entities.keys()], done }
}

export function startCommand(signal: AbortSignal): Command {
  return command('start', 'Run the service against DATABASE_URL until it is stopped', [
    ['DATABASE_URL=postgresql://… HUBSPOT_ACCESS_TOKEN=… rescore start', 'connectors, capture, recompute and score'],
    ['KAFKA_BROKERS=… rescore start --stages recompute,score', 'one of any number of workers that share the work'],
  ])
    .option('--stages <parts>', `with KAFKA_BROKERS: what this process runs, of ${PARTS.join(', ')} (default: all)`)
    .option(
      '--rollback',
      'deploy these definitions and models although older than the deployed ones, on purpose; newer processes step aside',
    )
    .action(async ({ stages, rollback }: StartOptions) => {
      refuseTestFaults()
      const environment = readEnvironment(process.env)
      const kafka = readKafkaSettings(process.env)
      const { DATABASE_URL: url } = environment
      if (url === undefined) throw noDatabase()
      const logger = createLogger(environment.LOG_LEVEL)
      const config = await loadProject(process.cwd())
      const parts = parseParts(stages, kafka, config.capture)
      const health = new Health()
      const metrics = new Metrics((await readOwnManifest(ownFolder())).version)
      const warn = (fields: object, message: string) => logger.warn(fields, message)
      await using probes = await serveProbes({ environment, port: 'default', url, health, metrics, warn })
      if (probes !== null) logger.info({ url: probes.url }, 'Health and metrics: /healthz, /readyz, /metrics.')
      const options: ServiceOptions = {
        url,
        config,
        slot: environment.RESCORE_SLOT,
        publication: environment.RESCORE_PUBLICATION,
        signal,
        log: logger,
        health,
        metrics,
        ...told(logger),
      }
      const shared = kafka === null ? {} : { parts: [...parts], brokers: kafka.brokers }
      let isRollback = rollback === true
      const once = async () => {
        const wanted = { ...options, isRollback }
        // Meant once: what stood aside since then goes on only with what is deployed.
        isRollback = false
        const { entities, done } = await start(wanted, parts, kafka)
        logger.info({ entities, models: config.models.map((model) => model.name), ...shared }, 'Rescore runs.')
        await done
      }
      const isScoring = kafka === null || parts.has('score')
      const work = () => standingAside(once, { options, isScoring, logger, health })
      const onLateFailure = (error: Error) => logger.warn({ error: error.message }, 'Failed while it was ending.')
      await drained(work, { signal, health, onLateFailure })
      logger.info('Rescore has stopped.')
    })
}

/** What of the running service is worth a line. */
function told(logger: Logger): Pick<ServiceOptions, 'report' | 'reportConnector'> {
  return {
    report: (event) => {
      if (event.type === 'failed') logger.warn(event, 'A stage failed and will repeat.')
      else if (event.type === 'scored' && event.from !== null) logger.debug(event, 'A classification changed.')
    },
    reportConnector: ({ connector, stream, event, landed }) => {
      if (event === 'landed' && landed !== undefined && landed.written + landed.rejected > 0) {
        logger.debug({ connector, stream, ...landed }, 'Records landed.')
      }
    },
  }
}

function noDatabase(): RescoreError {
  return new RescoreError({
    code: 'CONFIG_DATABASE_URL',
    fate: 'stop',
    message: 'DATABASE_URL is not set.',
    mend: 'Set it to a PostgreSQL 15 or newer with wal_level=logical; or try `rescore dev`, which brings its own.',
  })
}
