/**
 * `rescore connector new <name>`: a connector, its fixture, its proof and notes of what was guessed, written into the
 * project one stands in.
 *
 * Invariant: all or nothing is refused before a byte is written, and nothing that exists is ever written over. A crash
 * leaves some of the files; the rest is refused then, and removing them is safe.
 */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import type { Command } from 'commander'
import { projectConfigFile } from '../config.ts'
import { RescoreError } from '../errors.ts'
import { type Common, command, usage } from './command.ts'
import { readDocument } from './openapi/document.ts'
import { planFrom } from './openapi/from-openapi.ts'
import { blankPlan, type Plan } from './openapi/plan.ts'
import { print, printJson } from './output.ts'
import { CREDENTIAL, connectorFile } from './scaffold/connector-file.ts'
import { fixtureFile } from './scaffold/fixture-file.ts'
import { notesFile } from './scaffold/notes-file.ts'
import { specFile, testFile } from './scaffold/proof-files.ts'
import { type Words, wordsOf } from './scaffold/words.ts'

interface NewOptions extends Common {
  readonly from?: string
  readonly blank?: boolean
  readonly path?: string[]
}

/** The name is also a schema of the database. */
const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/
const TAKEN = /^(rescore|public|pg-.*|pg|information-schema|hubspot)$/

function checkName(name: string): void {
  if (!NAME.test(name) || name.length > 40) {
    throw usage(
      `'${name}' is no name for a connector.`,
      'Write it in small letters, digits and single hyphens: acme-crm',
    )
  }
  if (TAKEN.test(name))
    throw usage(`'${name}' would share its tables' schema with something else.`, 'Choose another name.')
}

export function filesOf(plan: Plan, words: Words = wordsOf(plan)): ReadonlyMap<string, string> {
  const { name } = plan
  return new Map([
    [`connectors/${name}.ts`, connectorFile(plan, words)],
    [`connectors/${name}.fixture.ts`, fixtureFile(plan, words)],
    [`connectors/${name}.conformance.ts`, specFile(plan, words)],
    [`connectors/${name}.notes.md`, notesFile(plan, words)],
    [`test/${name}.test.ts`, testFile(plan)],
  ])
}

async function writeNew(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  const existing = [...files.keys()].find((file) => existsSync(join(folder, file)))
  if (existing !== undefined) {
    throw new RescoreError({
      code: 'CLI_EXISTS',
      fate: 'stop',
      message: `${existing} exists already, and nothing is written over.`,
      mend: 'Choose another name, or remove the files of this one first.',
    })
  }
  for (const [file, content] of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), content, { flag: 'wx' })
  }
}

/** What goes into rescore.config.ts, as far as anybody can say. */
function useOf({ name, access, options, baseUrl }: Plan, words: Words): string {
  const prefix = name.toUpperCase().replaceAll('-', '_')
  const variable = (option: string) => `process.env.${prefix}_${option.replace(/[A-Z]/g, '_$&').toUpperCase()}`
  const needed = [
    ...CREDENTIAL[access.kind].map(([option]) => option),
    ...(access.kind === 'oauth' && access.grant === 'refresh-token' ? ['refreshToken'] : []),
    ...options.map((option) => option.name),
    ...(baseUrl === null ? ['baseUrl'] : []),
  ].map((option) => `${option}: ${variable(option)} ?? ''`)
  // Another address, such as its fixture's, is a matter of the environment.
  const base = baseUrl === null ? [] : [`baseUrl: ${variable('baseUrl')}`]
  return `${words.connector}({ ${[...needed, ...base].join(', ')} })`
}

export function connectorNewCommand(signal: AbortSignal): Command {
  return command('new', 'Begin a connector: its source, a fixture, its proof, and notes of what was guessed', [
    ['rescore connector new acme --from https://api.acme.com/openapi.json', 'from an OpenAPI 3 document, JSON or YAML'],
    ["rescore connector new acme --from openapi.yaml --path '/orgs/{org}/people' /teams", 'only these lists of it'],
    ['rescore connector new acme --blank', 'an example of one list, to be changed'],
  ])
    .argument('<name>', 'small letters, digits and hyphens')
    .option('--from <document>', 'a file or an address of an OpenAPI 3 document')
    .option('--blank', 'without a document')
    .option(
      '--path <paths...>',
      'only these lists of the document; what is in braces becomes an option of the connector',
    )
    .action(async (name: string, { from, blank, path = [], json }: NewOptions) => {
      checkName(name)
      if ((from === undefined) === (blank !== true))
        throw usage('Say what to begin with.', 'Give --from <document> or --blank.')
      const folder = dirname(projectConfigFile(process.cwd()))
      const plan = from === undefined ? blankPlan(name) : planFrom(await readDocument(from, signal), name, path)
      const words = wordsOf(plan)
      const files = filesOf(plan, words)
      await writeNew(folder, files)
      const use = useOf(plan, words)
      const streams = plan.streams.map(({ table, documented }) => ({ stream: table, path: documented }))
      const written = [...files.keys()]
      if (json === true)
        return printJson({ connector: name, folder, files: written, streams, leftOut: plan.leftOut.length, use })
      print(`wrote ${name}: ${streams.map(({ stream, path: at }) => `${stream} (${at})`).join(', ')}`)
      for (const file of written) print(`  ${relative(process.cwd(), join(folder, file))}`)
      if (plan.leftOut.length > 0) print(`left out: ${plan.leftOut.length}; the notes say what and why`)
      print(`\nnext:\n  npx rescore connector test ${name}`)
      print(`  read connectors/${name}.notes.md: what was guessed, and what no document says`)
      print(`  rescore.config.ts: import { ${words.connector} } from './connectors/${name}.ts'`)
      print(`                     connectors: [${use}]`)
    })
}
