/**
 * What the environment and `rescore.config.ts` say, checked once at the start.
 *
 * Invariant: every problem of the environment is reported in one error, by variable name and without its value, because
 * values may be secrets.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import type { ProjectConfig } from './define/index.ts'
import { RescoreError } from './errors.ts'
import { readCode } from './graph/code/code.ts'

const identifier = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,62}$/, 'must be 1 to 63 of a-z, 0-9 and _, and start with a letter')

const environmentSchema = z.object({
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'must start with postgresql://')
    .optional(),
  HUBSPOT_ACCESS_TOKEN: z.string().min(1, 'must not be empty').optional(),
  HUBSPOT_BASE_URL: z.url('must be a URL').optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  RESCORE_SLOT: identifier.default('rescore'),
  RESCORE_PUBLICATION: identifier.default('rescore'),
  RESCORE_METRICS_HOST: z.string().default('127.0.0.1'),
  RESCORE_METRICS_PORT: z
    .string()
    .refine((text) => text === 'off' || (/^\d{1,5}$/.test(text) && Number(text) <= 65_535), {
      error: "must be a port, 0 for any free one, or 'off'",
    })
    .transform((text) => (text === 'off' ? ('off' as const) : Number(text)))
    .optional(),
})

export type Environment = z.infer<typeof environmentSchema>

/** @throws RescoreError CONFIG_ENVIRONMENT naming every variable that is wrong */
export function readEnvironment(variables: Readonly<Record<string, string | undefined>>): Environment {
  // An empty variable is how shells and compose files say "not set".
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ''))
  const parsed = environmentSchema.safeParse(given)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new RescoreError({
    code: 'CONFIG_ENVIRONMENT',
    fate: 'stop',
    message: `The environment is not usable: ${problems.join('; ')}.`,
    mend: `Set ${parsed.error.issues.map((issue) => issue.path.join('.')).join(', ')} as described, or unset them.`,
  })
}

const CONFIG_FILES = ['rescore.config.ts', 'rescore.config.js', 'rescore.config.mjs']

function isProjectConfig(value: unknown): value is ProjectConfig {
  return (
    typeof value === 'object' &&
    value !== null &&
    'connectors' in value &&
    'features' in value &&
    'models' in value &&
    [value.connectors, value.features, value.models].every(Array.isArray)
  )
}

/** @throws RescoreError CONFIG_MISSING */
export function projectConfigFile(folder: string): string {
  const file = CONFIG_FILES.map((name) => join(folder, name)).find((candidate) => existsSync(candidate))
  if (file !== undefined) return file
  throw new RescoreError({
    code: 'CONFIG_MISSING',
    fate: 'stop',
    message: `There is no rescore.config.ts in ${folder}.`,
    mend: 'Go to the project folder, or make one: rescore init my-project',
  })
}

/** Loads the default export of the project's `rescore.config.ts`. @throws RescoreError CONFIG_MISSING, CONFIG_INVALID */
export async function loadProject(folder: string): Promise<ProjectConfig> {
  const file = projectConfigFile(folder)
  const invalid = (message: string, cause?: unknown) =>
    new RescoreError({
      code: 'CONFIG_INVALID',
      fate: 'stop',
      message: `${file}: ${message}`,
      mend: 'Mend the file; its default export is defineConfig({ connectors, features, models }).',
      cause,
    })
  let loaded: { readonly default?: unknown }
  try {
    loaded = await import(pathToFileURL(file).href)
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error), error)
  }
  if (!isProjectConfig(loaded.default)) throw invalid('it has no default export made by defineConfig.')
  return { ...loaded.default, code: readCode(file, loaded.default) }
}
