/** A connector's check, and that of each of its streams that has one: what is asked at start, by doctor and by the kit. */
import type { Connector, ConnectorProblem, SourceContext } from '../define/index.ts'
import { streamOf } from './streams.ts'

/** Empty when all is well. @throws SourceError when the source refuses the credential (auth) or cannot be asked */
export async function checkConnector(
  connector: Connector,
  context: SourceContext,
): Promise<readonly ConnectorProblem[]> {
  const problems = [...(await connector.check(context))]
  for (const stream of connector.streams.map(streamOf)) problems.push(...((await stream.check?.(context)) ?? []))
  return problems
}
