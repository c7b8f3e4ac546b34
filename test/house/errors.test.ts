/** docs/errors.md names every code the program can raise, and none that it cannot. */
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const AREAS = 'CONFIG|DB|CAPTURE|LOG|GRAPH|FEATURE|MODEL|CONNECT|HUBSPOT|DELIVER|CLI'
/** Variables of the environment and words of the Singer catalog, not errors. */
const NOT_ERRORS = new Set(['LOG_LEVEL', 'LOG_BASED', 'HUBSPOT_ACCESS_TOKEN', 'HUBSPOT_BASE_URL', 'HUBSPOT_POLL_MS'])

function codesIn(text: string, quote: string): readonly string[] {
  const found = text.matchAll(new RegExp(`${quote}((?:${AREAS})_[A-Z0-9_]*[A-Z0-9])${quote}`, 'g'))
  return [...found].flatMap(([, code]) => (code === undefined || NOT_ERRORS.has(code) ? [] : [code]))
}

test('the table of errors and the code agree', () => {
  const files = globSync(['src/**/*.ts', 'connectors/**/*.ts'], { cwd: root }).filter(
    (file) => !/\.test\.ts$/.test(file),
  )
  const raised = new Set(files.flatMap((file) => codesIn(readFileSync(join(root, file), 'utf8'), "'")))
  const documented = new Set(codesIn(readFileSync(join(root, 'docs/errors.md'), 'utf8'), '`'))
  expect(raised.size).toBeGreaterThan(90)
  expect([...raised].filter((code) => !documented.has(code)).sort()).toEqual([])
  expect([...documented].filter((code) => !raised.has(code)).sort()).toEqual([])
})
