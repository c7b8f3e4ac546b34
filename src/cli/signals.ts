/**
 * How a person or a supervisor ends a command: the first signal asks, the second forces.
 *
 * Invariant: nothing needs the asking to be safe, it only shortens what comes after; so the second signal ends the
 * process at once, with the exit code that shells give a process ended by it.
 */
import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The reason with which the signal of a command aborts. */
export class Interrupted extends Error {
  /** 128 and the number of the signal. */
  readonly exitCode: number

  constructor(name: (typeof SIGNALS)[number]) {
    super(`interrupted by ${name}`)
    this.exitCode = 128 + constants.signals[name]
  }
}

/**
 * A terminal sends Ctrl-C to every process of the command, and npm and the launcher pass theirs on: signals within this
 * time are one.
 */
const ONE_PRESS_MS = 1_000

/** @param exit what ends the process */
export function onSignals(exit: (code: number) => void): AbortSignal {
  const controller = new AbortController()
  let askedAtMs: number | null = null
  for (const name of SIGNALS) {
    process.on(name, () => {
      const interrupted = new Interrupted(name)
      if (askedAtMs === null) {
        askedAtMs = performance.now()
        controller.abort(interrupted)
      } else if (performance.now() - askedAtMs > ONE_PRESS_MS) exit(interrupted.exitCode)
    })
  }
  // `rescore dev | head`: whoever read has seen enough, which is a wish to stop and no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    controller.abort(error)
  })
  return controller.signal
}
