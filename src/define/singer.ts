/**
 * A Singer tap as a connector: any program that speaks the Singer protocol becomes streams of source tables.
 *
 * The runtime (src/connect/singer) installs it, asks it what it has, selects, runs it and lands what it says. A tap is
 * run once for each stream, so that a stream keeps its own state, pace and failures; two runs of one connector never
 * overlap, because taps share a credential and some change it as they go.
 */
import type { Priority } from './stream.ts'
import type { Table } from './table.ts'

/** How a tap reads a stream, in the words of the Singer catalog. */
export type ReplicationMethod = 'full-table' | 'incremental' | 'log-based'

export interface SingerStreamSpec {
  /** As the tap names it: `stream` or `tap_stream_id` of its catalog. */
  readonly stream: string
  readonly table: Table
  /** Default: the table's name. */
  readonly name?: string
  /** Properties to read, besides those the tap always reads. Default: all it offers. */
  readonly select?: readonly string[]
  /** Where a column's value is in the record (`address.city`). Default: the property of the column's name. */
  readonly columns?: Readonly<Record<string, string>>
  /** Default: what the tap's catalog says. `key`: the property an incremental run goes by. */
  readonly replication?: { readonly method: ReplicationMethod; readonly key?: string }
  /** Streams the tap must read along with this one (a parent); their records are passed over. */
  readonly along?: readonly string[]
  /** The name its records come under, where it is none of those of the catalog. */
  readonly emits?: string
  /** Pause between runs; default 15 min. */
  readonly everyMs?: number
  readonly priority?: Priority
}

export interface SingerTap {
  /** The connector's. */
  readonly name: string
  /** Pinned, the tap first; none where it is installed already. */
  readonly packages: readonly string[]
  /** pip's constraints file, for versions of what the packages need. */
  readonly constraints?: string | undefined
  /** The command in the environment. Default: the only one the package brings, or the one named like it. */
  readonly executable?: string | undefined
  /** A program that is installed already, and its first arguments, instead of `packages`. */
  readonly command?: readonly string[] | undefined
  /** Python 3.9 or newer; default `python3`. */
  readonly python: string
  readonly config: Readonly<Record<string, unknown>>
  /** Added to the few variables a tap is given (PATH, HOME, LANG, TZ, proxies, certificates). */
  readonly env: Readonly<Record<string, string>>
  /** What belongs to this tap alone: a rewritten config, the discovered catalog. */
  readonly folder: string
  /** Where virtual environments are built; shared by all projects of a user. Default: ~/.cache/rescore/singer */
  readonly cache?: string | undefined
  /** A tap that says nothing for so long is ended, and run again. */
  readonly stallMs: number
  /** Most bytes of one message. */
  readonly maxLineBytes: number
}

/** Run by the runtime like any other stream. */
export interface SingerStream {
  readonly name: string
  readonly tables: readonly Table[]
  readonly everyMs: number
  readonly priority?: Priority | undefined
  readonly singer: { readonly tap: SingerTap; readonly spec: SingerStreamSpec }
}

const PINNED =
  /^[A-Za-z0-9][\w.-]*(\[[\w,.-]+\])?\s*(==\s*[\w.!+-]+|@\s*git\+\S+@[0-9a-f]{40}|@\s*https:\S+#sha256=[0-9a-f]{64})$/

/** `name==version`, `name @ git+…@<commit>` or `name @ https…#sha256=…`: what is the same tomorrow. */
export function isPinned(requirement: string): boolean {
  return PINNED.test(requirement.trim())
}

const SECRET_NAME =
  /token|secret|passw|pwd|passphrase|credential|authorization|cookie|signature|dsn|(^|[_-])(auth|pass|pat)($|[_-])|(api|private|access|service|account|client|consumer|auth|encryption|signing)[_-]?key/i
/** Shorter ones would blot out ordinary words. */
const SHORTEST_SECRET = 4

/** The password of an address, wherever it stands. */
const IN_ADDRESS = /^[a-z][a-z0-9+.-]*:\/\/[^\s/@]*?:([^\s/@]+)@/i

/** Texts of a configuration that are secret by the name they stand under, or by that of what holds them. */
export function configSecrets(config: unknown, isSecret = false): readonly string[] {
  if (typeof config === 'string') {
    const password = IN_ADDRESS.exec(config)?.[1]
    const found = [...(isSecret ? [config] : []), ...(password === undefined ? [] : [password])]
    return found.filter((text) => text.length >= SHORTEST_SECRET)
  }
  if (typeof config !== 'object' || config === null) return []
  return Object.entries(config).flatMap(([name, value]) => configSecrets(value, isSecret || SECRET_NAME.test(name)))
}
