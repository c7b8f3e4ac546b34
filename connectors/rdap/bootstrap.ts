/**
 * Which server answers for a domain: IANA's list of registries (RFC 9224), fetched once a day and only if it has changed.
 * Invariant: the longest suffix wins, and a server's address is used as the list gives it, https before http.
 */
import { z } from 'zod'
import { type Message, type ReadContext, SourceError } from '../../src/define/index.ts'

const DAY_MS = 86_400_000
/** Its name in the stream's memory; no domain has a colon. */
const MEMORY = 'iana:dns'
const PATH = '/rdap/dns.json'

const list = z.object({ services: z.array(z.tuple([z.array(z.string()), z.array(z.string())])) })
const kept = z.object({ readMs: z.number(), etag: z.string(), servers: z.record(z.string(), z.string()) })
type Kept = z.infer<typeof kept>

export type Servers = Readonly<Record<string, string>>

function keptOf(text: string | undefined): Kept | undefined {
  return text === undefined ? undefined : kept.parse(JSON.parse(text))
}

/** @throws SourceError transient when it is not the list */
function serversOf(body: unknown): Servers {
  const parsed = list.safeParse(body)
  if (!parsed.success) {
    throw new SourceError({
      kind: 'transient',
      code: 'CONNECT_BAD_BODY',
      message: 'The list of RDAP servers has not the shape of RFC 9224.',
      mend: 'It is read again by itself. If it lasts, check the base URL of the connector.',
    })
  }
  const pairs = parsed.data.services.flatMap(([suffixes, urls]) => {
    const url = urls.find((one) => one.startsWith('https:')) ?? urls[0]
    return url === undefined ? [] : suffixes.map((suffix) => [suffix.toLowerCase(), url] as const)
  })
  return Object.fromEntries(pairs)
}

/** The servers by suffix; `messages` are to be yielded before the next checkpoint. */
export async function readServers(
  context: ReadContext,
): Promise<{ readonly servers: Servers; readonly messages: readonly Message<never>[] }> {
  const before = keptOf((await context.recall([MEMORY])).get(MEMORY))
  const now = context.now()
  if (before !== undefined && now < before.readMs + DAY_MS) return { servers: before.servers, messages: [] }
  const answer = await context.http({
    path: PATH,
    ifNoneMatch: before === undefined ? undefined : before.etag || undefined,
  })
  const isSame = answer.status === 304 && before !== undefined
  const servers = isSame ? before.servers : serversOf(answer.body)
  const etag = answer.etag ?? (isSame ? before.etag : '')
  const value = JSON.stringify({ readMs: now, etag, servers } satisfies Kept)
  return { servers, messages: [{ op: 'remember', name: MEMORY, value }] }
}

/** @returns undefined when no registry of this suffix answers RDAP */
export function serverOf(servers: Servers, domain: string): string | undefined {
  const labels = domain.split('.')
  for (let from = 1; from < labels.length; from += 1) {
    const server = servers[labels.slice(from).join('.')]
    if (server !== undefined) return server
  }
  return undefined
}
