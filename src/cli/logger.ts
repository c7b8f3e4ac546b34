/**
 * The service's log lines: structured, one JSON object a line, on stdout.
 * Invariant: fields are named one by one by whoever logs; whole records, headers and bodies never reach a line.
 */
import { type Logger, pino } from 'pino'
import type { Environment } from '../config.ts'

/** Written synchronously, so that the last line before an exit is not lost. */
export function createLogger(level: Environment['LOG_LEVEL']): Logger {
  return pino({ level, base: { pid: process.pid } }, pino.destination({ fd: 1, sync: true }))
}
