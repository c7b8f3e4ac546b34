/** A project's folder for `rescore connector new`, whose `rescore` is this repository's source. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { vi } from 'vitest'
import { run } from '../../src/cli/main.ts'

const execute = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')

export interface Project extends AsyncDisposable {
  readonly folder: string
  /** `rescore connector new` in it. */
  begin(...args: string[]): Promise<{ readonly code: number | null; readonly output: string }>
}

async function configure(folder: string): Promise<void> {
  const read = async (file: string) => JSON.parse(await readFile(join(root, file), 'utf8'))
  const write = (file: string, value: unknown) => writeFile(join(folder, file), JSON.stringify(value))
  await write('package.json', { type: 'module' })
  await write('biome.json', { ...(await read('biome.json')), vcs: undefined, $schema: undefined })
  // As `rescore init` writes it, but for where the types come from.
  const { compilerOptions } = await read('src/cli/templates/tsconfig.json.template')
  const paths = {
    rescore: [`${root}/src/define/index.ts`],
    'rescore/conformance': [`${root}/src/conformance/index.ts`],
  }
  const typeRoots = [`${root}/node_modules/@types`]
  await write('tsconfig.json', {
    compilerOptions: { ...compilerOptions, paths, typeRoots },
    include: ['connectors', 'test'],
  })
  await writeFile(join(folder, 'rescore.config.ts'), 'export default { connectors: [], features: [], models: [] }\n')
}

export async function createProject(): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-new-'))
  await configure(folder)
  return {
    folder,
    async begin(...args) {
      let output = ''
      const collect = (text: string | Uint8Array) => {
        output += String(text)
        return true
      }
      vi.spyOn(process, 'cwd').mockReturnValue(folder)
      vi.spyOn(process.stdout, 'write').mockImplementation(collect)
      vi.spyOn(process.stderr, 'write').mockImplementation(collect)
      try {
        return { code: await run(['connector', 'new', ...args], new AbortController().signal), output }
      } finally {
        vi.restoreAllMocks()
      }
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

const program = (name: string) => join(root, 'node_modules/.bin', name)

/** @throws Error with what the formatter or the linter has to say */
export async function lint(folder: string): Promise<void> {
  await execute(program('biome'), ['check', '--error-on-warnings', 'connectors', 'test'], { cwd: folder })
}

/** @throws Error with what the compiler has to say */
export async function typeCheck(folder: string): Promise<void> {
  try {
    await execute(program('tsc'), ['-p', folder], { cwd: folder })
  } catch (failed) {
    throw new Error(String(Object(failed).stdout), { cause: failed })
  }
}
