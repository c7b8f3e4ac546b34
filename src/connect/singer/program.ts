/**
 * One program of a tap as a child process, behind python/guard.py.
 *
 * Invariants: programs that share a lock never run at once, whichever process of this machine starts them; what runs is
 * ended with everything it started: on `end` by SIGTERM and soon by SIGKILL, and by the guard at once should this process
 * be gone. `prepare` runs, and the lock is held, before the program starts and until `end` has returned.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { SourceError } from '../../define/index.ts'
import { linesOf } from './lines.ts'

const GUARD = join(import.meta.dirname, 'python', 'guard.py')
const DEFAULT_GRACE_MS = 500
const LAST_WORDS_MS = 1_000
/** Lines of stderr that are kept to say why a program failed. */
const KEPT_LINES = 30
const KEPT_LENGTH = 2_000

export interface ProgramOptions {
  /** Runs the guard. */
  readonly python: string
  readonly lock: string
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly signal: AbortSignal
  onStderr(line: string): void
}

export interface ProgramEnd {
  readonly code: number
  /** Its last lines on stderr. */
  readonly said: readonly string[]
}

export class Program implements AsyncDisposable {
  readonly stdout: Readable
  readonly #orders: Writable
  readonly #said: string[] = []
  readonly #locked = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<ProgramEnd>()
  readonly #stderr: Readable
  readonly #gone: Promise<unknown>
  /** Its stderr is read to the end. */
  readonly #heardAll: Promise<void>
  readonly #signal: AbortSignal
  readonly #onAbort = () => this.#order('term')
  #group: number | undefined
  #isOver = false

  private constructor(options: ProgramOptions) {
    const { python, lock, command, env, cwd, signal, onStderr } = options
    const guard = spawn(python, ['-I', '-S', GUARD, lock, ...command], {
      cwd,
      env,
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    })
    const [orders, stdout, stderr, reports] = guard.stdio
    if (
      !(orders instanceof Writable) ||
      !(stdout instanceof Readable) ||
      !(stderr instanceof Readable) ||
      !(reports instanceof Readable)
    ) {
      throw new TypeError('A child process was started without its pipes.')
    }
    this.#orders = orders
    this.stdout = stdout
    this.#signal = signal
    this.#stderr = stderr
    this.#gone = once(guard, 'exit').catch(() => undefined)
    // It has ended by itself: `exit` tells.
    orders.on('error', () => undefined)
    const listen = async (channel: Readable, hear: (line: string) => void) => {
      for await (const lines of linesOf(channel, KEPT_LENGTH)) for (const { text } of lines) hear(text)
    }
    const failed = (cause: Error) => this.#fail(guardGone([...this.#said, cause.message]))
    listen(reports, (line) => this.#hear(line)).catch(failed)
    this.#heardAll = listen(stderr, (line) => {
      this.#said.push(line)
      if (this.#said.length > KEPT_LINES) this.#said.shift()
      onStderr(line)
    }).catch(failed)
    guard.once('error', (cause) => this.#fail(noPython(python, cause)))
    guard.once('exit', () => this.#fail(guardGone(this.#said)))
    // Whoever waits for it hears of it; nobody may.
    this.#locked.promise.catch(() => undefined)
    this.#ended.promise.catch(() => undefined)
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** @throws SourceError when there is no such Python, or no such program */
  static async start(options: ProgramOptions, prepare: () => Promise<void> = async () => undefined): Promise<Program> {
    options.signal.throwIfAborted()
    const program = new Program(options)
    try {
      await orAbort(program.#locked.promise, options.signal)
      await prepare()
      options.signal.throwIfAborted()
      program.#order('go')
      return program
    } catch (error) {
      await program.end()
      throw error
    }
  }

  #order(order: 'go' | 'term' | 'kill'): void {
    if (this.#orders.writable) this.#orders.write(`${order}\n`)
  }

  #hear(report: string): void {
    const [word, rest = ''] = report.split(/ (.*)/s)
    if (word === 'locked') this.#locked.resolve()
    else if (word === 'started') this.#group = Number(rest)
    else if (word === 'failed') this.#fail(cannotStart(rest))
    else if (word === 'exit') {
      this.#isOver = true
      const end = () => this.#ended.resolve({ code: Number(rest), said: this.#said })
      // Its last words say why; a child in a session of its own may hold stderr open for ever.
      Promise.race([this.#heardAll, wait(LAST_WORDS_MS, undefined, { ref: false })]).then(end, end)
    }
  }

  /** A guard that is gone without a word can no longer end the program. */
  #fail(error: SourceError): void {
    if (!this.#isOver && this.#group !== undefined) killGroup(this.#group)
    this.#isOver = true
    this.#locked.reject(error)
    this.#ended.reject(error)
  }

  /** The program itself; what it started may still hold its output open. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Resolves when it has ended by itself. @throws SourceError when it could not be started or its guard was killed */
  get ended(): Promise<ProgramEnd> {
    return this.#ended.promise
  }

  /** Ends what is left of it; `beforeRelease` runs when nothing of it runs any more, the lock still held. */
  async end(
    beforeRelease: () => Promise<void> = async () => undefined,
    graceMs: number = DEFAULT_GRACE_MS,
  ): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort)
    try {
      if (!this.#isOver && this.#group !== undefined) {
        this.#order('term')
        await Promise.race([this.#ended.promise.catch(() => undefined), wait(graceMs, undefined, { ref: false })])
        if (!this.#isOver) {
          this.#order('kill')
          await this.#ended.promise.catch(() => undefined)
        }
      }
      await beforeRelease()
    } finally {
      this.#orders.end()
      await this.#gone
      // What it still says, or holds open through a child, is of no use to anybody.
      this.stdout.destroy()
      this.#stderr.destroy()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }
}

async function orAbort(settled: Promise<void>, signal: AbortSignal): Promise<void> {
  const watch = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: watch.signal })
  })
  try {
    await Promise.race([settled, aborted])
  } finally {
    watch.abort()
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch (error) {
    const isGone = error instanceof Error && 'code' in error && error.code === 'ESRCH'
    if (!isGone) throw error
  }
}

function noPython(python: string, cause: Error): SourceError {
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_PYTHON',
    message: `Singer taps need Python, and '${python}' could not be started: ${cause.message}`,
    mend: 'Install Python 3.9 or newer, or say where it is: singer({ python: "/usr/bin/python3", … }).',
    cause,
  })
}

function cannotStart(why: string): SourceError {
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_CONFIG',
    message: `The tap could not be started: ${why}`,
    mend: 'Check the command or the executable of this tap.',
  })
}

function guardGone(said: readonly string[]): SourceError {
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_TAP_FAILED',
    message: `The process that watches the tap ended: ${said.slice(-3).join(' ') || 'without a word'}`,
    mend: 'It is run again by itself. If it lasts, look for what kills it (memory?).',
  })
}
