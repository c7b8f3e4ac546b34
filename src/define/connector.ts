/**
 * A connector: pulls records out of a source into source tables. Its streams are declared (`rest`, level 1) or written
 * as generators of messages (`defineStream`, level 2); the runtime (src/connect) does all the rest.
 */
import type { CopyStream } from './copy.ts'
import type { HttpRequest, HttpSettings } from './http.ts'
import type { RestStream } from './rest.ts'
import type { SingerStream } from './singer.ts'
import type { Budget, ConnectorProblem, SourceContext, Stream } from './stream.ts'
import type { WebhookReceiver } from './webhook.ts'

export type AnyStream = Stream | RestStream | CopyStream | SingerStream

export interface Connector {
  readonly name: string
  /** Name of the credential the budgets are counted against, never the secret itself. */
  readonly credential: string
  readonly budgets: readonly Budget[]
  /** How `context.http` reaches the source; absent where all calls go through `context.call`. */
  readonly http?: HttpSettings | undefined
  /** Values that must never be written down, besides those of `http.auth`. */
  readonly secrets?: readonly string[] | undefined
  readonly streams: readonly AnyStream[]
  /** How its webhooks are told to be genuine and read. Streams they name have a `read`. */
  readonly webhooks?: WebhookReceiver | undefined
  /**
   * Checks credentials, scopes and configuration against the source; empty when all is well. Runs at start and in doctor.
   * @throws SourceError when the source refuses the credential (auth) or cannot be asked (transient, rate-limited)
   */
  check(context: SourceContext): Promise<readonly ConnectorProblem[]>
}

export interface ConnectorSpec extends Omit<Connector, 'credential' | 'budgets' | 'check'> {
  /** Default: the connector's name. */
  readonly credential?: string
  /** Default: 5 calls a second, 2 at once, under the connector's name. */
  readonly budgets?: readonly Budget[]
  /** Default: reads one page of each declared list. */
  check?(context: SourceContext): Promise<readonly ConnectorProblem[]>
}

/** The call that shows whether a declared stream can be read at all. */
function firstCalls(streams: readonly AnyStream[]): readonly HttpRequest[] {
  return streams.flatMap((stream) => {
    if (!('rest' in stream)) return []
    const { list, budget } = stream.rest
    // A stream has no first page: all of it would come.
    if (list === undefined || list.paging?.by === 'stream') return []
    const { paging } = list
    const size = paging?.size === undefined ? {} : { [paging.size.parameter]: paging.size.value }
    return [{ path: list.path, query: { ...list.query, ...size }, ...(budget === undefined ? {} : { budget }) }]
  })
}

/** @throws TypeError when two streams or two budgets have one name, or a declared stream has no way to the network */
export function defineConnector(spec: ConnectorSpec): Connector {
  const { name, streams } = spec
  const budgets = spec.budgets ?? [{ key: name, calls: 5, perMs: 1_000, concurrency: 2 }]
  const twice = (names: readonly string[]) => names.find((one, at) => names.indexOf(one) !== at)
  const stream = twice(streams.map((one) => one.name))
  if (stream !== undefined) throw new TypeError(`Connector '${name}' has two streams named '${stream}'.`)
  const budget = twice(budgets.map((one) => one.key))
  if (budget !== undefined) throw new TypeError(`Connector '${name}' has two budgets named '${budget}'.`)
  const declared = streams.find((one) => 'rest' in one)
  if (declared !== undefined && spec.http === undefined) {
    throw new TypeError(
      `Connector '${name}' declares the stream '${declared.name}' but no http settings to read it with.`,
    )
  }
  const check = async (context: SourceContext) => {
    for (const request of firstCalls(streams)) await context.http(request)
    return []
  }
  return { check, ...spec, credential: spec.credential ?? name, budgets }
}
