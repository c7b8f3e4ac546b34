/** The results of the kit as the table of docs/connectors.md. Pure. */
import type { Line, Result } from '../../src/conformance/index.ts'

const BEGIN = '<!-- conformance: written by npm run conformance -->'
const END = '<!-- conformance: end -->'
const MARK: Readonly<Record<Result, string>> = { pass: 'pass', fail: '**FAIL**', 'not applicable': '–' }

/** A row for each check, a column for each connector; what does not apply is explained below. */
export function tableOf(lines: readonly Line[]): string {
  const connectors = [...new Set(lines.map(({ connector }) => connector))]
  const checks = [...new Set(lines.map(({ check }) => check))]
  const find = (check: string, connector: string) =>
    lines.find((line) => line.check === check && line.connector === connector)
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rows = checks.map((check) =>
    row([
      check,
      ...connectors.map((connector) => {
        const line = find(check, connector)
        return line === undefined ? '' : MARK[line.result]
      }),
    ]),
  )
  const reasons = lines
    .filter(({ result }) => result !== 'pass')
    .map(({ connector, check, seen }) => `- ${connector}, ${check}: ${seen}`)
  const header = [row(['check', ...connectors]), row(['---', ...connectors.map(() => '---')])]
  return [...header, ...rows, '', ...reasons].join('\n')
}

/** @throws Error when the page has no place for it */
export function withTable(page: string, table: string): string {
  const begin = page.indexOf(BEGIN)
  const end = page.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`The page has no '${BEGIN}' … '${END}'.`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${page.slice(end)}`
}
