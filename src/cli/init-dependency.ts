/**
 * This package as a new project will depend on it.
 *
 * Invariant: what `npm install` will fetch is what runs now: the version of the registry when it came from there, the
 * same tarball when it came from one, and in a clone the tarball that `npm pack` makes of it.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { RescoreError } from '../errors.ts'

const manifestSchema = z.object({
  name: z.literal('rescore'),
  version: z.string(),
  devDependencies: z.object({ '@types/node': z.string(), typescript: z.string() }),
  allowScripts: z.record(z.string(), z.boolean()),
})
export type OwnManifest = z.infer<typeof manifestSchema>

const lockSchema = z.object({ packages: z.record(z.string(), z.object({ resolved: z.string().optional() })) })

export interface Dependency {
  /** The value in `dependencies`: a version, or `file:` and an absolute path. */
  readonly spec: string
  /** Commands to run before `npm install` can find it. */
  readonly before: readonly string[]
}

/** The folder with the package.json of the program that runs: a clone, or node_modules/rescore. */
export function ownFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder)
    if (parent === folder) {
      throw new RescoreError({
        code: 'CLI_PACKAGE_INCOMPLETE',
        fate: 'stop',
        message: 'The package.json of Rescore is not beside the program.',
        mend: 'Install the package again: npm install rescore.',
      })
    }
    folder = parent
  }
  return folder
}

export async function readOwnManifest(folder: string): Promise<OwnManifest> {
  return manifestSchema.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')))
}

/** What npm noted of where an installed package came from; null when another package manager installed it. */
async function installedFrom(folder: string): Promise<string | null> {
  const root = folder.slice(0, folder.lastIndexOf(`${sep}node_modules${sep}`))
  const lock = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(lock)) return null
  const { packages } = lockSchema.parse(JSON.parse(await readFile(lock, 'utf8')))
  const resolved = packages[relative(root, folder).replaceAll(sep, '/')]?.resolved
  return resolved?.startsWith('file:') === true ? `file:${resolve(root, resolved.slice('file:'.length))}` : null
}

/** @param given what the user asked for instead; a relative `file:` is read from the working folder */
export async function dependencyOn(folder: string, version: string, given: string | undefined): Promise<Dependency> {
  if (given !== undefined) {
    const isFile = given.startsWith('file:')
    return { spec: isFile ? `file:${resolve(given.slice('file:'.length))}` : given, before: [] }
  }
  if (folder.includes(`${sep}node_modules${sep}`)) {
    return { spec: (await installedFrom(folder)) ?? version, before: [] }
  }
  const tarball = join(folder, `rescore-${version}.tgz`)
  const before = existsSync(tarball) ? [] : [`npm pack ${folder} --pack-destination ${folder}`]
  return { spec: `file:${tarball}`, before }
}
