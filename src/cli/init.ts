/**
 * `rescore init <folder>`: a small project of its own that depends on this package: a connector, two features, a model,
 * a test.
 *
 * Invariant: nothing that exists is ever written over. A crash leaves some of the files; the folder is then refused as
 * not empty, and removing it is safe.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { RescoreError } from '../errors.ts'
import { type Common, command } from './command.ts'
import { type Dependency, dependencyOn, type OwnManifest, ownFolder, readOwnManifest } from './init-dependency.ts'
import { print, printJson } from './output.ts'

const TEMPLATES = fileURLToPath(new URL('./templates/', import.meta.url))
const SUFFIX = '.template'

/** A folder's name as npm accepts it for a package. */
export function packageName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '')
  // npm refuses a package that depends on its own name.
  return name === '' || name === 'rescore' ? 'rescore-project' : name
}

/**
 * Where a template goes. `dot-` stands for a leading dot, because npm leaves such files out of a package; `.template`
 * keeps the files from being taken for sources and tests of this project.
 */
export function targetOf(template: string): string {
  const plain = template.endsWith(SUFFIX) ? template.slice(0, -SUFFIX.length) : template
  return plain.replace(/^dot-/, '.')
}

/** npm from 11.16 on takes its word from allowScripts alone, and warns at every call of what .npmrc holds for older ones. */
export function needsNpmrc(userAgent: string | undefined): boolean {
  const [, major = 0, minor = 0] = /^npm\/(\d+)\.(\d+)/.exec(userAgent ?? '')?.map(Number) ?? []
  return major < 11 || (major === 11 && minor < 16)
}

function manifestOf(name: string, { spec }: Dependency, own: OwnManifest): string {
  const manifest = {
    name,
    version: '0.0.0',
    private: true,
    type: 'module',
    scripts: { start: 'rescore dev', test: 'tsc && node --test "test/**/*.test.ts"' },
    dependencies: { rescore: spec },
    devDependencies: own.devDependencies,
    allowScripts: own.allowScripts,
  }
  return `${JSON.stringify(manifest, null, 2)}\n`
}

async function refuseUnlessEmpty(folder: string): Promise<void> {
  let entries: readonly string[]
  try {
    entries = await readdir(folder)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
  const [first] = entries.filter((entry) => entry !== '.git')
  if (first === undefined) return
  throw new RescoreError({
    code: 'CLI_NOT_EMPTY',
    fate: 'stop',
    message: `${folder} is not empty: it has '${first}'.`,
    mend: 'Name a folder that does not exist yet, or an empty one: rescore init my-project',
  })
}

/** @returns the names of the files written, relative to `folder` */
async function writeProject(folder: string, name: string, manifest: string): Promise<readonly string[]> {
  const contents = new Map<string, string | Uint8Array>([['package.json', manifest]])
  for (const entry of await readdir(TEMPLATES, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || (entry.name === 'dot-npmrc' && !needsNpmrc(process.env.npm_config_user_agent))) continue
    const bytes = await readFile(join(entry.parentPath, entry.name))
    const target = join(relative(TEMPLATES, entry.parentPath), targetOf(entry.name))
    contents.set(target, entry.name.endsWith(SUFFIX) ? bytes.toString('utf8').replaceAll('{{name}}', name) : bytes)
  }
  for (const [file, content] of contents) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), content, { flag: 'wx' })
  }
  return [...contents.keys()].sort()
}

export function initCommand(): Command {
  return command('init', 'Make a small project of your own: a connector, features, a model, a test', [
    ['rescore init my-project', 'in a new folder; then npm install and npm start there'],
    ['rescore init my-project --rescore file:../rescore-0.1.0.tgz', 'that depends on this package file'],
  ])
    .argument('<folder>', 'a folder that does not exist yet, or an empty one')
    .option('--rescore <spec>', 'what the project depends on: a version, or file:<tarball> (default: what runs now)')
    .action(async (given: string, options: Common & { rescore?: string }) => {
      const folder = resolve(given)
      await refuseUnlessEmpty(folder)
      const home = ownFolder()
      const own = await readOwnManifest(home)
      const dependency = await dependencyOn(home, own.version, options.rescore)
      const name = packageName(folder)
      const files = await writeProject(folder, name, manifestOf(name, dependency, own))
      const enter = relative(process.cwd(), folder)
      const next = [...dependency.before, ...(enter === '' ? [] : [`cd ${enter}`]), 'npm install', 'npm start']
      if (options.json === true) return printJson({ folder, name, rescore: dependency.spec, files, next })
      print(`made ${name}: ${files.length} files in ${folder}\n\nnext:`)
      for (const line of next) print(`  ${line}`)
    })
}
