/** The spec of a connector of this project, from the file it is kept in. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import type { ConformanceSpec } from '../conformance/index.ts'
import { RescoreError } from '../errors.ts'

const functionSchema = z.custom<() => unknown>((value) => typeof value === 'function')
const specShape = z.looseObject({ name: z.string(), connector: functionSchema, fixture: functionSchema })

/** Shape check: a user's spec comes from a module that types do not reach. */
function isSpec(value: unknown): value is ConformanceSpec {
  return specShape.safeParse(value).success
}

function noSpec(message: string): RescoreError {
  return new RescoreError({
    code: 'CLI_NO_CONFORMANCE',
    fate: 'stop',
    message,
    mend: 'rescore connector new <name> writes one: connectors/<name>.conformance.ts exports a ConformanceSpec as default.',
  })
}

/** @param nameOrFile a name stands for connectors/<name>.conformance.ts; anything with an ending is a file */
export async function loadSpec(nameOrFile: string): Promise<ConformanceSpec> {
  const isFile = /\.[cm]?[jt]s$/.test(nameOrFile)
  const candidates = isFile
    ? [nameOrFile]
    : [`connectors/${nameOrFile}.conformance.ts`, `connectors/${nameOrFile}/conformance.ts`]
  const file = candidates.map((candidate) => resolve(candidate)).find((candidate) => existsSync(candidate))
  if (file === undefined) throw noSpec(`There is no ${candidates.join(' and no ')}.`)
  const loaded: { readonly default?: unknown } = await import(pathToFileURL(file).href)
  if (!isSpec(loaded.default)) throw noSpec(`${file} does not export a ConformanceSpec as default.`)
  return loaded.default
}
