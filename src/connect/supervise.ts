/**
 * Keeps a connector running beside everything else.
 *
 * Invariant: a connector whose configuration or credential is refused at the start stops the service, because someone is
 * looking; one that is refused later (a token was revoked) stops alone, says so, and is tried again, because the
 * classifications of what is already here must stay true.
 */
import { sleep } from '../db/backoff.ts'
import { SourceError } from '../define/index.ts'
import { asError } from '../errors.ts'
import { BudgetBook } from './budget.ts'
import { checkConnector } from './check.ts'
import { sourceContext } from './context.ts'
import { redactorOf } from './http/redact.ts'
import { isSourceError, type RunConnectorOptions } from './options.ts'
import { runConnector } from './runner.ts'

const AGAIN_MS = 60_000

/** @throws SourceError of kind auth or config; a source that cannot be reached is left to the streams, which repeat */
async function assertUsable(options: RunConnectorOptions): Promise<void> {
  const { connector, log } = options
  const context = sourceContext(options, options.budgets ?? new BudgetBook(), 'check', 'on-demand')
  try {
    const problems = (await checkConnector(connector, context)).filter(({ isBlocking }) => isBlocking !== false)
    const [first] = problems
    if (first === undefined) return
    throw new SourceError({
      kind: 'config',
      code: first.code,
      message: problems.map(({ message }) => message).join(' '),
      mend: first.mend,
    })
  } catch (thrown) {
    const error = redactorOf(connector).error(asError(thrown))
    if (!isSourceError(error) || error.kind === 'auth' || error.kind === 'config') throw error
    log.warn(
      { connector: connector.name, error: error.message },
      'The source could not be checked; its streams will repeat.',
    )
  }
}

/** Resolves when the signal aborts. @throws SourceError or RescoreError when the connector is refused at the start */
export async function superviseConnector(options: RunConnectorOptions & { readonly againMs?: number }): Promise<void> {
  const { connector, signal, log, againMs = AGAIN_MS } = options
  try {
    await assertUsable(options)
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  while (!signal.aborted) {
    try {
      await runConnector(options)
    } catch (thrown) {
      if (signal.aborted) return
      const { message } = asError(thrown)
      log.warn(
        { connector: connector.name, error: message },
        'The connector was refused; it is tried again in a minute.',
      )
      await sleep(againMs, signal).catch(() => undefined)
    }
  }
}
