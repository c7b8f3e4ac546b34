/** Health and metrics of a command that runs the service, as the environment wants them. */
import type { Environment } from '../config.ts'
import type { Health } from '../observe/health.ts'
import type { Metrics } from '../observe/metrics.ts'
import { openProbes, type Probes } from '../observe/probes.ts'

interface ServeOptions {
  readonly environment: Environment
  /** When RESCORE_METRICS_PORT is not set. */
  readonly port: number | 'default'
  readonly url: string
  readonly health: Health
  readonly metrics: Metrics
  readonly warn: (fields: object, message: string) => void
}

/** null: switched off. @throws RescoreError CONFIG_METRICS_PORT */
export async function serveProbes({ environment, warn, ...options }: ServeOptions): Promise<Probes | null> {
  const { RESCORE_METRICS_HOST: host, RESCORE_METRICS_PORT: port = options.port } = environment
  if (port === 'off') return null
  options.metrics.collectProcess()
  const probes = await openProbes({
    ...options,
    host,
    port,
    onError: (error) => warn({ error: error.message }, 'Health or metrics could not be told.'),
  })
  if (probes.isOtherPort) {
    warn({ url: probes.url }, 'Port 9464 is taken: health and metrics are elsewhere. RESCORE_METRICS_PORT decides.')
  }
  return probes
}
