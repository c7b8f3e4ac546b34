/**
 * What commands print. Results go to stdout, everything else to stderr; `--json` prints one object.
 * Invariant: no colour unless a person reads it on a terminal.
 */
import { stripVTControlCharacters } from 'node:util'
import type { RescoreError } from '../errors.ts'

export const useColor = (stream: NodeJS.WriteStream): boolean =>
  stream.isTTY === true && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb'

const CODES = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const

export function paint(text: string, color: keyof typeof CODES, stream: NodeJS.WriteStream = process.stdout): string {
  return useColor(stream) ? `\u001b[${CODES[color]}m${text}\u001b[0m` : text
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? item.toString() : item), 2))
}

export function printError(error: RescoreError, json: boolean): void {
  if (json) {
    note(JSON.stringify({ error: { code: error.code, message: error.message, mend: error.mend } }))
    return
  }
  note(`${paint(error.code, 'red', process.stderr)}: ${error.message}\n  mend: ${error.mend}`)
  if (process.env.LOG_LEVEL === 'debug' && error.cause instanceof Error) note(error.cause.stack ?? '')
}

/** Data as it may be shown on a terminal: what would move the cursor is shown as a dot. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '·')
}

/** Colours take no room. */
const widthOf = (cell: string) => stripVTControlCharacters(cell).length

/** Left-aligned columns. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((name, index) => Math.max(name.length, ...rows.map((row) => widthOf(row[index] ?? ''))))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => cell + ' '.repeat(Math.max(0, (widths[index] ?? 0) - widthOf(cell))))
      .join('  ')
      .trimEnd()
  return [line(header), ...rows.map(line)].join('\n')
}

export function bytes(count: number): string {
  if (count < 1_024) return `${count} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length, Math.floor(Math.log2(count) / 10))
  return `${(count / 1_024 ** power).toFixed(1)} ${units[power - 1]}`
}
