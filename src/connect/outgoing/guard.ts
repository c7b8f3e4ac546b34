/**
 * Where outgoing HTTP may go, of connectors and of deliveries alike.
 *
 * Invariants: an address is judged at the moment of connecting, by the very answer of DNS that is then connected to, so a
 * name that changes its mind reaches nothing; a literal address is judged before. What the project has written down itself
 * may be this machine (127.0.0.1, localhost); what came in an answer (a redirect, a next link) never is, unless it is on
 * the allow list. Pure but for the resolver; a crash loses nothing.
 */
import { type LookupAddress, lookup as resolve } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { SourceError } from '../../define/index.ts'
import { type AllowList, allowListOf, refusalOf } from './address.ts'

/** All addresses of a name, as node:dns gives them. */
export type Resolver = (
  host: string,
  options: { readonly family: number | 'IPv4' | 'IPv6'; readonly hints: number; readonly all: true },
  callback: (error: Error | null, addresses: readonly LookupAddress[]) => void,
) => void

export interface GuardOptions {
  /** Hosts, addresses and networks inside that may be reached, over plain HTTP too. */
  readonly allow?: readonly string[]
  /** Default: the machine's resolver. */
  readonly resolver?: Resolver
  /** 127.0.0.1 or localhost, where an address that was declared says so. Default: false. */
  readonly mayBeThisMachine?: boolean
  /** How the reader lets a host of his own in, such as `http.allow`. */
  readonly where: string
}

export interface Guard {
  /** For an address the project has written down: its port may be any, its host this machine if it says so. */
  declared(url: URL): LookupFunction
  /** For an address that came from elsewhere. */
  found(url: URL): LookupFunction
}

const bareHost = (url: URL) => url.hostname.replace(/^\[|\]$/g, '')

/** This machine, and written so that nobody can mistake it. */
const isThisMachine = (host: string) => host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
const THIS_MACHINE = allowListOf(['127.0.0.0/8', '::1'])

function refused(url: URL, why: string, where: string): SourceError {
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_ADDRESS_REFUSED',
    message: `${url.protocol}//${url.host} may not be reached: ${why}.`,
    mend: `Use a public https:// address, or name the host in ${where} if it is your own.`,
  })
}

/** @throws SourceError CONNECT_ADDRESS_REFUSED for what no answer of DNS could make right */
function checkUrl(url: URL, isOwn: boolean, anyPort: boolean, where: string): void {
  const host = bareHost(url)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refused(url, 'it is neither http nor https', where)
  if (url.protocol === 'http:' && !isOwn) throw refused(url, 'plain http is only for hosts on the allow list', where)
  if (url.username !== '' || url.password !== '') throw refused(url, 'it carries a user name or a password', where)
  const port = Number(url.port || 443)
  if (!isOwn && !anyPort && port !== 443) throw refused(url, `port ${port} was not asked for`, where)
  const why = isIP(host) === 0 ? null : refusalOf(host)
  if (why !== null && !isOwn) throw refused(url, `${host} is ${why}`, where)
}

/** Answers only addresses that may be connected to; one that may not refuses all, so that no order of answers helps. */
function guardedLookup(url: URL, allow: AllowList, resolver: Resolver, where: string): LookupFunction {
  return (host, options, callback) => {
    resolver(host, { family: options.family ?? 0, hints: options.hints ?? 0, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, [])
      const isOwn = allow.allowsHost(host)
      for (const { address } of addresses) {
        const why = isOwn || allow.allowsAddress(address) ? null : refusalOf(address)
        if (why !== null) return callback(refused(url, `it leads to ${address}, which is ${why}`, where), [])
      }
      const [first] = addresses
      if (options.all === true) callback(null, [...addresses])
      else if (first === undefined) callback(new Error(`${host} has no address`), '')
      else callback(null, first.address, first.family)
    })
  }
}

/** @throws TypeError for an entry of the allow list that is neither a name, an address nor a network */
export function createGuard({
  allow: entries = [],
  resolver = resolve,
  mayBeThisMachine = false,
  where,
}: GuardOptions): Guard {
  const allow = allowListOf(entries)
  // Not the name: whatever localhost leads to has to be this machine.
  const orThisMachine: AllowList = {
    allowsHost: (host) => allow.allowsHost(host),
    allowsAddress: (address) => allow.allowsAddress(address) || THIS_MACHINE.allowsAddress(address),
  }
  const judge = (url: URL, isDeclared: boolean) => {
    const host = bareHost(url)
    const isHere = isDeclared && mayBeThisMachine && isThisMachine(host)
    checkUrl(url, isHere || allow.allowsHost(host) || allow.allowsAddress(host), isDeclared, where)
    return guardedLookup(url, isHere ? orThisMachine : allow, resolver, where)
  }
  return { declared: (url) => judge(url, true), found: (url) => judge(url, false) }
}
