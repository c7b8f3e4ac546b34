/**
 * Which versions of Kafka's protocol a broker speaks, asked before any login, and whether they meet ours.
 *
 * Why ours: kafkajs takes the lesser of its own and the broker's newest version and never looks at the broker's oldest,
 * so a broker that has dropped what kafkajs speaks would answer nonsense instead of a refusal.
 * Invariant: one request, one answer of bounded size, one deadline; the socket is closed whatever comes of it.
 */
import { connect as connectTcp, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { tlsOptions } from './client.ts'
import { kafkaError } from './errors.ts'
import type { KafkaSettings } from './settings.ts'

const API_VERSIONS_KEY = 18
const TIMEOUT_MS = 5_000
const MAX_ANSWER_BYTES = 65_536

export interface VersionRange {
  readonly min: number
  readonly max: number
}

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

/** Protocol calls of ours: from the oldest version that has what we need to the newest that kafkajs 2.2.4 speaks. */
const SPOKEN: Readonly<Record<number, VersionRange & { readonly name: string }>> = {
  0: { name: 'Produce', min: 7, max: 7 },
  1: { name: 'Fetch', min: 4, max: 11 },
  2: { name: 'ListOffsets', min: 1, max: 3 },
  3: { name: 'Metadata', min: 4, max: 6 },
  8: { name: 'OffsetCommit', min: 2, max: 5 },
  9: { name: 'OffsetFetch', min: 2, max: 4 },
  10: { name: 'FindCoordinator', min: 1, max: 2 },
  11: { name: 'JoinGroup', min: 2, max: 5 },
  12: { name: 'Heartbeat', min: 0, max: 3 },
  13: { name: 'LeaveGroup', min: 0, max: 3 },
  14: { name: 'SyncGroup', min: 0, max: 3 },
  15: { name: 'DescribeGroups', min: 0, max: 2 },
  16: { name: 'ListGroups', min: 0, max: 2 },
  17: { name: 'SaslHandshake', min: 1, max: 1 },
  18: { name: 'ApiVersions', min: 0, max: 2 },
  19: { name: 'CreateTopics', min: 0, max: 3 },
  22: { name: 'InitProducerId', min: 1, max: 1 },
  32: { name: 'DescribeConfigs', min: 1, max: 2 },
  33: { name: 'AlterConfigs', min: 0, max: 1 },
  36: { name: 'SaslAuthenticate', min: 0, max: 1 },
}

function question(): Buffer {
  const client = Buffer.from('rescore-doctor')
  const frame = Buffer.alloc(14 + client.length)
  frame.writeInt32BE(10 + client.length, 0)
  frame.writeInt16BE(API_VERSIONS_KEY, 4)
  frame.writeInt16BE(0, 6)
  frame.writeInt32BE(1, 8)
  frame.writeInt16BE(client.length, 12)
  client.copy(frame, 14)
  return frame
}

/** After size and correlation id: error code, count, and key, oldest, newest of each. */
function parse(answer: Buffer): ReadonlyMap<number, VersionRange> {
  const ranges = new Map<number, VersionRange>()
  const count = answer.readInt32BE(10)
  for (let index = 0; index < count; index += 1) {
    const at = 14 + index * 6
    ranges.set(answer.readInt16BE(at), { min: answer.readInt16BE(at + 2), max: answer.readInt16BE(at + 4) })
  }
  return ranges
}

/** @throws RescoreError LOG_KAFKA_* */
export async function readApiVersions(
  settings: KafkaSettings,
  { host, port }: BrokerAddress,
  outer: AbortSignal,
): Promise<ReadonlyMap<number, VersionRange>> {
  const signal = AbortSignal.any([outer, AbortSignal.timeout(TIMEOUT_MS)])
  const name = isIP(host) === 0 ? { servername: host } : {}
  const { tls } = settings
  const socket = tls === null ? connectTcp({ host, port }) : connectTls({ host, port, ...name, ...tlsOptions(tls) })
  const give = () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`))
  signal.addEventListener('abort', give, { once: true })
  try {
    socket.once(tls === null ? 'connect' : 'secureConnect', () => socket.write(question()))
    let answer = Buffer.alloc(0)
    for await (const part of socket) {
      answer = Buffer.concat([answer, part])
      const size = answer.length >= 4 ? answer.readInt32BE(0) : 0
      if (size > MAX_ANSWER_BYTES) break
      if (answer.length >= 14 && answer.length >= size + 4) return parse(answer)
    }
    throw Object.assign(new Error('the connection was closed without an answer'), { code: 'ECONNRESET' })
  } catch (error) {
    throw kafkaError(error, `asking broker ${host}:${port} for its versions`)
  } finally {
    signal.removeEventListener('abort', give)
    socket.destroy()
  }
}

/** One sentence for each call the two sides cannot agree on. */
export function missingVersions(ranges: ReadonlyMap<number, VersionRange>): readonly string[] {
  return Object.entries(SPOKEN).flatMap(([key, { name, min, max }]) => {
    const range = ranges.get(Number(key))
    if (range === undefined) return [`${name} is missing`]
    if (range.max >= min && range.min <= max) return []
    return [`${name} is served in versions ${range.min} to ${range.max}, and ${min} to ${max} are spoken here`]
  })
}
