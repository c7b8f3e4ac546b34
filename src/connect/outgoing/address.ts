/**
 * Which addresses outgoing HTTP may reach: public ones, and those a project has named itself.
 *
 * Invariant: an address is judged by its bytes, never by how it is written, and an IPv6 address that carries an IPv4 one
 * (mapped, translated, 6to4, Teredo) is judged by both. What is not known to be public is refused. Pure.
 */
import { BlockList, isIP, isIPv6 } from 'node:net'

/** IANA's special-purpose registries, as far as they are not globally reachable, and what clouds answer metadata on. */
const REFUSED: readonly (readonly [network: string, bits: number, why: string])[] = [
  ['0.0.0.0', 8, 'this network'],
  ['10.0.0.0', 8, 'private'],
  ['100.64.0.0', 10, 'carrier-grade NAT'],
  ['127.0.0.0', 8, 'loopback'],
  ['169.254.0.0', 16, 'link-local, cloud metadata'],
  ['172.16.0.0', 12, 'private'],
  ['192.0.0.0', 24, 'protocol assignments'],
  ['192.0.2.0', 24, 'documentation'],
  ['192.31.196.0', 24, 'AS112'],
  ['192.52.193.0', 24, 'AMT'],
  ['192.88.99.0', 24, '6to4 relay'],
  ['192.168.0.0', 16, 'private'],
  ['192.175.48.0', 24, 'AS112'],
  ['198.18.0.0', 15, 'benchmarking'],
  ['198.51.100.0', 24, 'documentation'],
  ['203.0.113.0', 24, 'documentation'],
  ['224.0.0.0', 4, 'multicast'],
  ['240.0.0.0', 4, 'reserved, broadcast'],
  ['168.63.129.16', 32, 'cloud metadata'],
  ['::', 96, 'unspecified, loopback, IPv4-compatible'],
  ['100::', 64, 'discard'],
  ['2001::', 23, 'protocol assignments'],
  ['2001:db8::', 32, 'documentation'],
  ['3fff::', 20, 'documentation'],
  ['5f00::', 16, 'segment routing'],
  ['fc00::', 7, 'unique local, cloud metadata'],
  ['fe80::', 10, 'link-local'],
  ['fec0::', 10, 'site-local'],
  ['ff00::', 8, 'multicast'],
]

const family = (address: string) => (isIPv6(address) ? 'ipv6' : 'ipv4')

const refusedLists = REFUSED.map(([network, bits, why]) => {
  const list = new BlockList()
  list.addSubnet(network, bits, family(network))
  return { list, why, family: family(network) }
})

/** All of an IPv6 address, as eight numbers. */
function groupsOf(address: string): readonly number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const pair = (high: string | undefined, low: string | undefined) => (Number(high) * 256 + Number(low)).toString(16)
  const text = dotted === null ? address : `${dotted[1]}${pair(dotted[2], dotted[3])}:${pair(dotted[4], dotted[5])}`
  const [left = '', right] = text.split('::')
  const parts = (side: string) => (side === '' ? [] : side.split(':').map((group) => Number.parseInt(group, 16)))
  const start = parts(left)
  const end = right === undefined ? [] : parts(right)
  return [...start, ...Array<number>(Math.max(0, 8 - start.length - end.length)).fill(0), ...end]
}

const dottedOf = (high: number, low: number) => [high >> 8, high & 255, low >> 8, low & 255].join('.')

/** IPv4 addresses inside an IPv6 one: what a translator on the way would connect to. */
function carried(address: string): readonly string[] {
  const groups = groupsOf(address)
  const at = (index: number) => groups[index] ?? 0
  const isZero = (from: number, to: number) => groups.slice(from, to).every((group) => group === 0)
  const last = dottedOf(at(6), at(7))
  if (isZero(0, 5) && at(5) === 0xffff) return [last]
  if (isZero(0, 4) && at(4) === 0xffff && at(5) === 0) return [last]
  if (at(0) === 0x64 && at(1) === 0xff9b) return [last]
  if (at(0) === 0x2002) return [dottedOf(at(1), at(2))]
  if (at(0) === 0x2001 && at(1) === 0) return [dottedOf(at(2), at(3)), dottedOf(at(6) ^ 0xffff, at(7) ^ 0xffff)]
  return []
}

const isMapped = (address: string) => {
  const groups = groupsOf(address)
  return groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
}

/** Why nobody may connect there; null: a public address. */
export function refusalOf(given: string): string | null {
  const address = given.split('%')[0] ?? ''
  if (isIP(address) === 0) return 'not an address'
  if (!isIPv6(address)) {
    return refusedLists.find((entry) => entry.family === 'ipv4' && entry.list.check(address, 'ipv4'))?.why ?? null
  }
  for (const inner of carried(address)) {
    const why = refusalOf(inner)
    if (why !== null) return `${why}, inside an IPv6 address`
  }
  // A list of IPv6 networks would judge a mapped address by the IPv4 lists alone.
  if (isMapped(address)) return null
  const known = refusedLists.find((entry) => entry.family === 'ipv6' && entry.list.check(address, 'ipv6'))
  if (known !== undefined) return known.why
  const isGlobal = (groupsOf(address)[0] ?? 0) >> 13 === 1
  return isGlobal || carried(address).length > 0 ? null : 'not global unicast'
}

/** Hosts of the project's own network that it names: `10.1.2.3`, `10.0.0.0/8`, `fd00::/8` or `hooks.internal`. */
export interface AllowList {
  allowsHost(host: string): boolean
  allowsAddress(address: string): boolean
}

/** @throws TypeError for an entry that is neither a name, an address nor a network */
export function allowListOf(entries: readonly string[]): AllowList {
  const networks = new BlockList()
  const names = new Set<string>()
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/')
    if (isIP(address) !== 0) {
      const most = isIPv6(address) ? 128 : 32
      const prefix = bits === undefined ? most : Number(bits)
      if (!Number.isInteger(prefix) || prefix < 0 || prefix > most) throw new TypeError(`'${entry}' is not a network.`)
      networks.addSubnet(address, prefix, family(address))
    } else if (bits === undefined && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(entry)) names.add(entry.toLowerCase())
    else throw new TypeError(`'${entry}' is neither a host name, an address nor a network such as 10.0.0.0/8.`)
  }
  return {
    allowsHost: (host) => names.has(host.toLowerCase()),
    allowsAddress: (address) => isIP(address) !== 0 && networks.check(address, family(address)),
  }
}
