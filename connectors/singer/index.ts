/**
 * Any Singer tap as a connector.
 *
 * ```ts
 * singer({
 *   name: 'books',
 *   tap: 'tap-rest-api-msdk==1.4.2',
 *   config: { api_url: 'https://books.example', auth_method: 'bearer_token', bearer_token: process.env.BOOKS_TOKEN, … },
 *   streams: [{ stream: 'orders', table: orders }],
 * })
 * ```
 * docs/connectors.md, "Singer taps", says how a tap is installed, run and ended.
 */
import {
  type Connector,
  columnOf,
  configSecrets,
  defineConnector,
  isPinned,
  type SingerStream,
  type SingerStreamSpec,
  type SingerTap,
} from '../../src/define/index.ts'

const DEFAULT_EVERY_MS = 900_000
const DEFAULT_STALL_MS = 600_000
const DEFAULT_MAX_LINE_BYTES = 32 * 1024 * 1024
const NAME = /^[a-z0-9][a-z0-9_-]*$/i

export interface SingerOptions {
  /** Of the connector; also the name of its folder. */
  readonly name: string
  /**
   * A package, pinned (`tap-foo==1.2.3`, `tap-foo @ git+https://…@<commit>`), and after it any that must be installed
   * beside it (`['tap-old==0.1.1', 'setuptools==80.9.0']`).
   */
  readonly tap?: string | readonly string[]
  /** Instead of `tap`: a program that is installed already, and its first arguments. */
  readonly command?: readonly string[]
  /** The command of the package. Default: the only one it brings, or the one named like it. */
  readonly executable?: string
  /** pip's constraints file: pins what the packages need in turn. */
  readonly constraints?: string
  /** Python 3.9 or newer; default `python3`. */
  readonly python?: string
  /** The tap's own configuration. Put secrets in from the environment. */
  readonly config: Readonly<Record<string, unknown>>
  /** Variables the tap is given besides PATH, HOME, LANG, TZ, proxies and certificates. */
  readonly env?: Readonly<Record<string, string>>
  /** Secret values that stand in the configuration under a name that does not tell so. */
  readonly secrets?: readonly string[]
  readonly streams: readonly SingerStreamSpec[]
  /** Default: .rescore/singer/<name> */
  readonly folder?: string
  /** Default: ~/.cache/rescore/singer */
  readonly cache?: string
  /** A tap that says nothing for so long is ended and run again; default 10 min. */
  readonly stallMs?: number
  /** Most bytes of one message; default 32 MiB. A longer record is set aside alone. */
  readonly maxLineBytes?: number
}

/** @throws TypeError when the package is not pinned, or the declaration cannot work */
export function singer(options: SingerOptions): Connector {
  const { name, command, config, env = {}, streams } = options
  const refuse = (problem: string) => {
    throw new TypeError(`Singer tap '${name}': ${problem}`)
  }
  if (!NAME.test(name)) refuse('name it by letters, digits, - and _: it is also the name of a folder.')
  const packages = typeof options.tap === 'string' ? [options.tap] : [...(options.tap ?? [])]
  if (packages.length > 0 === (command !== undefined && command.length > 0)) {
    refuse("say which tap: either a pinned package (tap: 'tap-foo==1.2.3') or an installed program (command).")
  }
  const loose = packages.find((requirement) => !isPinned(requirement))
  if (loose !== undefined) refuse(`'${loose}' is not pinned. Write the exact version, as in 'tap-foo==1.2.3'.`)
  if (streams.length === 0) refuse('name the streams to read.')
  const tap: SingerTap = {
    name,
    packages,
    command,
    constraints: options.constraints,
    executable: options.executable,
    python: options.python ?? 'python3',
    config,
    env,
    folder: options.folder ?? `.rescore/singer/${name}`,
    cache: options.cache,
    stallMs: options.stallMs ?? DEFAULT_STALL_MS,
    maxLineBytes: options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES,
  }
  return defineConnector({
    name,
    // A tap keeps to the limits of its source by itself, and runs alone.
    budgets: [],
    secrets: [...configSecrets(config), ...configSecrets(env), ...(options.secrets ?? [])],
    streams: streams.map((spec) => streamOf(tap, spec)),
  })
}

function streamOf(tap: SingerTap, spec: SingerStreamSpec): SingerStream {
  for (const column of Object.keys(spec.columns ?? {})) columnOf(spec.table, column)
  const { table, everyMs = DEFAULT_EVERY_MS, priority } = spec
  return { name: spec.name ?? table.name, tables: [table], everyMs, priority, singer: { tap, spec } }
}
