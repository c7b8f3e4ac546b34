/**
 * A tap, run once: installed, laid out in its folder, started, its lines read, ended, its folder cleaned.
 * Invariants: one run at a time for a tap, discovery included; what it prints besides messages goes to the log and no
 * further; whatever ends the run, what it made of its configuration is kept and known as secret.
 */
import { configSecrets, type SingerTap, type SourceContext, SourceError } from '../../define/index.ts'
import { tapEnvironment } from './environment.ts'
import { stalled, tapFailure } from './failure.ts'
import { type RunFiles, TapFolder } from './folder.ts'
import { type Installed, installTap } from './install.ts'
import { type Line, LinePull, linesOf } from './lines.ts'
import { Program, type ProgramEnd } from './program.ts'

/** Lines of one run that go to the log; a tap can say a thousand a second. */
const MOST_LOGGED = 500
/** Silence after which the output of a tap that has ended is taken to be at its end. */
const LEFT_OPEN_MS = 3_000
const IS_TROUBLE = /^\W*(\S+\s+){0,4}?(WARN(ING)?|ERROR|CRITICAL|FATAL)\b|^Traceback|Error:|Exception:/

export class Tap {
  readonly spec: SingerTap
  readonly installed: Installed
  readonly folder: TapFolder

  private constructor(spec: SingerTap, installed: Installed, folder: TapFolder) {
    this.spec = spec
    this.installed = installed
    this.folder = folder
  }

  static async open(spec: SingerTap, context: SourceContext): Promise<Tap> {
    const folder = new TapFolder(spec)
    await folder.make()
    return new Tap(spec, await installTap(spec, context), folder)
  }
}

/** Says each kind of line of a tap in our log, until it has said enough. */
function tapLog(context: SourceContext) {
  let said = 0
  return (channel: 'stdout' | 'stderr', line: string) => {
    said += 1
    if (said > MOST_LOGGED || line.trim() === '') return
    const level = channel === 'stdout' || IS_TROUBLE.test(line) ? 'warn' : 'info'
    context.log[level]({ channel, line: line.slice(0, 2_000) }, 'The tap said something.')
    if (said === MOST_LOGGED) context.log.warn({ lines: said }, 'The tap says more than is written down of one run.')
  }
}

export class TapRun implements AsyncDisposable {
  readonly #program: Program
  readonly #folder: TapFolder
  readonly #context: SourceContext
  readonly #pull: LinePull
  readonly #stallMs: number
  readonly #doing: string
  readonly say: (channel: 'stdout' | 'stderr', line: string) => void
  #silentMs = 0

  private constructor(tap: Tap, program: Program, context: SourceContext, doing: string, heard: Heard) {
    this.#program = program
    this.#folder = tap.folder
    this.#context = context
    this.#stallMs = tap.spec.stallMs
    this.#doing = doing
    this.say = heard.say
    heard.onStderr = () => {
      this.#silentMs = 0
    }
    this.#pull = new LinePull(linesOf(program.stdout, tap.spec.maxLineBytes))
  }

  static async start(
    tap: Tap,
    args: readonly string[],
    files: RunFiles,
    context: SourceContext,
    doing: string,
  ): Promise<TapRun> {
    const heard: Heard = { say: tapLog(context), onStderr: () => undefined }
    const program = await Program.start(
      {
        python: tap.installed.python,
        lock: tap.folder.lock,
        // The files are there before the program is, and their places do not change.
        command: [...tap.installed.command, ...args, ...tap.folder.arguments(files)],
        env: tapEnvironment(tap.spec.env),
        cwd: process.cwd(),
        signal: context.signal,
        onStderr: (line) => {
          heard.onStderr()
          heard.say('stderr', line)
        },
      },
      async () => {
        const settings = await tap.folder.lay(files)
        for (const secret of configSecrets(settings)) context.conceal(secret)
      },
    )
    return new TapRun(tap, program, context, doing, heard)
  }

  /** @returns 'idle' when nothing came for a while. @throws SourceError CONNECT_TAP_STALLED, or the reason of the abort */
  async next(idleMs: number): Promise<readonly Line[] | 'idle' | 'end'> {
    const askedMs = performance.now()
    const pulled = await this.#pull.next(idleMs)
    this.#context.signal.throwIfAborted()
    if (pulled !== 'idle') {
      this.#silentMs = 0
      return pulled
    }
    // Only our waiting counts: what we take to land the last lines is not the tap's silence.
    this.#silentMs += performance.now() - askedMs
    // A child of its own session may hold its output open for ever.
    if (this.#program.isOver && this.#silentMs > LEFT_OPEN_MS) return 'end'
    if (this.#silentMs > this.#stallMs) throw stalled(this.#stallMs, this.#doing)
    return pulled
  }

  /** Once all lines are read. */
  async ended(): Promise<ProgramEnd> {
    const ended = await this.#program.ended
    this.#context.signal.throwIfAborted()
    return ended
  }

  /** @throws SourceError when it did not end well */
  async endedWell(): Promise<void> {
    const ended = await this.ended()
    if (ended.code !== 0) throw tapFailure(ended, this.#doing)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.end(async () => {
      const rewritten = await this.#folder.takeBack()
      if (rewritten === undefined) return
      for (const secret of configSecrets(rewritten)) this.#context.conceal(secret)
      this.#context.log.info({ folder: this.#folder.path }, 'The tap rewrote its configuration, which is kept.')
    })
  }
}

interface Heard {
  readonly say: (channel: 'stdout' | 'stderr', line: string) => void
  onStderr: () => void
}

export function brokenLine(text: string, doing: string): SourceError {
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_TAP_LINE',
    message: `The tap wrote a message that cannot be read while ${doing}: ${text.slice(0, 200)}`,
    mend: 'It is run again from its last state, so nothing is lost. If it lasts, this tap prints into its own messages.',
  })
}
