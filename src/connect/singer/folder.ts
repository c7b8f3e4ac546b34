/**
 * The folder of one tap: what it is run with, and what it must not lose.
 *
 * A tap may rewrite its configuration as it runs (a refresh token that is good for one use). What it wrote is kept in
 * `kept.json` and used from then on, until the user's own configuration changes. It stays a file, because it holds
 * secrets that no table and no backup of a database should.
 * Invariants: everything is readable by the owner only; `run/` holds the files of one run and is removed after it; a
 * configuration that was rewritten by a run that was killed is found by the next one. Used under the tap's lock only.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { type SingerTap, SourceError } from '../../define/index.ts'
import { asError } from '../../errors.ts'

type Config = Readonly<Record<string, unknown>>

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const CONFIG = 'config.json'
const CATALOG = 'catalog.json'
const STATE = 'state.json'
/** What `run/` was laid with. */
const LAID = 'laid.json'
const KEPT = 'kept.json'

const keptFile = z.object({ given: z.string(), config: z.record(z.string(), z.unknown()) })
const laidFile = z.object({ given: z.string(), written: z.string() })

/** Whole or not at all. */
export async function writePrivately(path: string, text: string): Promise<void> {
  const part = `${path}.${randomUUID()}.part`
  const file = await open(part, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, path)
}

/** @throws SourceError config, when it cannot be made */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  try {
    await mkdir(path, { recursive: true, ...(mode === undefined ? {} : { mode }) })
  } catch (cause) {
    throw new SourceError({
      kind: 'config',
      code: 'CONNECT_TAP_FOLDER',
      message: `The folder ${path}, which a Singer tap needs, cannot be made: ${asError(cause).message}`,
      mend: 'Say where it may be: singer({ folder: "/data/singer/books", cache: "/data/singer/cache", … }).',
      cause,
    })
  }
}

/** undefined: it is not there. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** undefined: it is not JSON of this shape, as when it was being written. */
export function readAs<T>(shape: z.ZodType<T>, text: string): T | undefined {
  try {
    return shape.safeParse(JSON.parse(text)).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Texts of the files a tap is given, besides its configuration. */
export interface RunFiles {
  readonly catalog?: string | undefined
  /** How this tap wants the catalog. */
  readonly flag?: '--catalog' | '--properties' | undefined
  readonly state?: string | undefined
}

export class TapFolder {
  readonly path: string
  readonly #run: string
  readonly #given: Config
  readonly #givenHash: string

  constructor({ folder, config }: SingerTap) {
    this.path = resolve(folder)
    this.#run = join(this.path, 'run')
    this.#given = config
    this.#givenHash = sha256(JSON.stringify(config))
  }

  get lock(): string {
    return join(this.path, 'lock')
  }

  /** @throws SourceError config, when it cannot be written here */
  async make(): Promise<void> {
    // Others may have to pass through the folders above.
    await makeFolder(dirname(this.path))
    await makeFolder(this.path, 0o700)
  }

  /** What the tap is called with, for the files that `lay` writes. */
  arguments({ catalog, flag = '--catalog', state }: RunFiles): readonly string[] {
    return [
      ...['--config', join(this.#run, CONFIG)],
      ...(catalog === undefined ? [] : [flag, join(this.#run, CATALOG)]),
      ...(state === undefined ? [] : ['--state', join(this.#run, STATE)]),
    ]
  }

  /** Writes the files of a run. @returns what stands in its configuration */
  async lay({ catalog, state }: RunFiles): Promise<Config> {
    await this.takeBack()
    const settings = (await this.#kept()) ?? this.#given
    await mkdir(this.#run, { mode: 0o700 })
    const text = JSON.stringify(settings)
    const write = (name: string, content: string) => writePrivately(join(this.#run, name), content)
    await write(LAID, JSON.stringify({ given: this.#givenHash, written: sha256(text) }))
    await write(CONFIG, text)
    if (catalog !== undefined) await write(CATALOG, catalog)
    if (state !== undefined) await write(STATE, state)
    return settings
  }

  /** @returns the configuration as the run left it, if it rewrote it; the files of the run are gone */
  async takeBack(): Promise<Config | undefined> {
    const laid = readAs(laidFile, (await readIfThere(join(this.#run, LAID))) ?? '')
    const text = await readIfThere(join(this.#run, CONFIG))
    const isRewritten = laid !== undefined && text !== undefined && sha256(text) !== laid.written
    const config = isRewritten ? readAs(z.record(z.string(), z.unknown()), text) : undefined
    if (laid !== undefined && config !== undefined) {
      await writePrivately(join(this.path, KEPT), JSON.stringify({ given: laid.given, config }))
    }
    await rm(this.#run, { recursive: true, force: true })
    return config
  }

  async #kept(): Promise<Config | undefined> {
    const path = join(this.path, KEPT)
    const kept = readAs(keptFile, (await readIfThere(path)) ?? '')
    if (kept?.given === this.#givenHash) return kept.config
    // The user's own has changed since, and is theirs to decide.
    await rm(path, { force: true })
    return undefined
  }
}
