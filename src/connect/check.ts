/** What keeps a source from being read: the connector's own check, and those of its streams. */
import type { Connector, ConnectorProblem, SourceContext } from '../define/index.ts'
import { streamOf } from './streams.ts'

/** @throws SourceError when the source refuses the credential (auth) or cannot be asked (transient, rate-limited) */
export async function checkConnector(
  connector: Connector,
  context: SourceContext,
): Promise<readonly ConnectorProblem[]> {
  const problems = [...(await connector.check(context))]
  for (const declared of connector.streams) problems.push(...((await streamOf(declared).check?.(context)) ?? []))
  return problems
}
