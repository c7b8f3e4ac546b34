/**
 * What a user at a terminal has: npm and node of the machine, none of this repository's programs and settings.
 * Invariant: nothing started here outlives its test, the embedded PostgreSQL included.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Set by the npm, the test runner or the developer that runs the tests. */
const NOT_THE_USERS = /^(npm_|VITEST|NODE_|INIT_CWD$|HUBSPOT_|RESCORE_|DATABASE_URL$|KAFKA_|LOG_LEVEL$)/

export function userEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !NOT_THE_USERS.test(name))
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter) }
}

export interface Ran {
  readonly stdout: string
  readonly stderr: string
}

/** @throws Error with everything it printed, when it exits with another code than 0 */
export async function run(cwd: string, environment: NodeJS.ProcessEnv, ...command: string[]): Promise<Ran> {
  const [program = '', ...args] = command
  try {
    return await execute(program, args, { cwd, env: environment, maxBuffer: 64 << 20 })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as Partial<Ran>
    throw new Error(`${command.join(' ')} failed:\n${stderr}\n${stdout.slice(-4_000)}`, { cause: error })
  }
}

type DevEvent = Readonly<Record<string, unknown>> & { readonly event: string }

/** A running `rescore dev --json`, its simulated portal left alone. */
export class Dev implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #ended: Promise<number | null>
  readonly #seen: DevEvent[] = []
  readonly #waiting = new Set<() => void>()
  #stderr = ''
  #hasEnded = false

  /** @param command how the user calls it: `npx rescore`, or the path of the command */
  constructor(folder: string, environment: NodeJS.ProcessEnv, ...command: string[]) {
    this.#folder = folder
    const [program = '', ...args] = command
    const child = spawn(program, [...args, 'dev', '--json', '--no-edits'], {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, as a terminal gives to what is typed into it.
      detached: true,
    })
    this.#child = child
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) this.#seen.push(JSON.parse(line))
      this.#wake()
    })
    child.stderr.on('data', (chunk) => {
      this.#stderr = (this.#stderr + String(chunk)).slice(-8_000)
    })
    this.#ended = once(child, 'close').then(([code]) => {
      this.#hasEnded = true
      this.#wake()
      return code
    })
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  /** The first event of this name. @throws Error when the program ends before it or `deadlineMs` passes */
  async event(name: string, deadlineMs = 90_000): Promise<DevEvent> {
    const signal = AbortSignal.timeout(deadlineMs)
    for (;;) {
      const found = this.#seen.find(({ event }) => event === name)
      if (found !== undefined) return found
      if (this.#hasEnded || signal.aborted) {
        const seen = JSON.stringify(this.#seen.slice(-20))
        throw new Error(`No event '${name}' came${this.#hasEnded ? '; it has ended' : ''}: ${seen}\n${this.#stderr}`)
      }
      await new Promise<void>((wake) => {
        this.#waiting.add(wake)
        signal.addEventListener('abort', () => wake(), { once: true })
      })
    }
  }

  /** To npx, the shell it starts and the program alike. */
  #signal(name: NodeJS.Signals): void {
    if (this.#child.pid !== undefined) process.kill(-this.#child.pid, name)
  }

  /** As Ctrl-C does. @returns the exit code; null from npx, whose shell ends by the signal */
  async interrupt(): Promise<number | null> {
    this.#signal('SIGINT')
    return this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded) return
    this.#signal('SIGTERM')
    const limit = once(AbortSignal.timeout(20_000), 'abort').then(() => false)
    if (await Promise.race([this.#ended.then(() => true), limit])) return
    this.#signal('SIGKILL')
    await stopServer(join(this.#folder, '.rescore', 'pg', 'postmaster.pid'))
  }
}

/** The embedded PostgreSQL outlives a killed program; its number stands in the first line of its lock file. */
async function stopServer(lock: string): Promise<void> {
  try {
    process.kill(Number((await readFile(lock, 'utf8')).split('\n')[0]), 'SIGQUIT')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return
    throw error
  }
}
