/**
 * `npm run conformance`: every connector against the kit. Prints a line for each check, writes the table of
 * docs/connectors.md between its markers, and ends with 1 when anything fails. `npm run conformance -- hubspot` makes only
 * some and writes nothing.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { withScratchDatabase } from '../../src/conformance/database.ts'
import { CHECKS, type Line, lineText, runConformance } from '../../src/conformance/index.ts'
import { SPECS } from './specs.ts'
import { tableOf, withTable } from './table.ts'

const PAGE = resolve(import.meta.dirname, '../../docs/connectors.md')

const wanted = process.argv.slice(2)
const specs = wanted.length === 0 ? SPECS : SPECS.filter(({ name }) => wanted.some((part) => name.includes(part)))
const lines: Line[] = []
await withScratchDatabase(process.env.DATABASE_URL, async (pool) => {
  for (const spec of specs) {
    process.stdout.write(`${spec.name}\n`)
    const onLine = (line: Line) => void process.stdout.write(`  ${lineText(line)}\n`)
    lines.push(...(await runConformance(spec, { pool, onLine })))
  }
})
const failed = lines.filter(({ result }) => result === 'fail').length
process.stdout.write(`${specs.length} connectors, ${CHECKS.length} checks, ${failed} failed\n`)
if (wanted.length === 0) await writeFile(PAGE, withTable(await readFile(PAGE, 'utf8'), tableOf(lines)))
if (failed > 0) process.exitCode = 1
