/**
 * Where the database is: DATABASE_URL, or the `rescore dev` that runs in this folder.
 * Invariant: a note left by a dead `rescore dev` is never followed.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Environment, readEnvironment } from '../config.ts'
import { createPool, type Pool } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'

/** `environment`: variables that lead the project's connectors to the simulated portal. */
const noteSchema = z.object({
  pid: z.number().int(),
  url: z.string(),
  environment: z.record(z.string(), z.string()),
})
export type DevNote = z.infer<typeof noteSchema>

export const devFolder = (folder: string) => join(folder, '.rescore')
const noteFile = (folder: string) => join(devFolder(folder), 'dev.json')

export async function writeDevNote(folder: string, content: DevNote): Promise<void> {
  await mkdir(devFolder(folder), { recursive: true })
  await writeFile(noteFile(folder), JSON.stringify(content), { mode: 0o600 })
}

export async function removeDevNote(folder: string): Promise<void> {
  await rm(noteFile(folder), { force: true })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** The running `rescore dev` of this folder, or null. */
export async function findDev(folder: string): Promise<DevNote | null> {
  let text: string
  try {
    text = await readFile(noteFile(folder), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
  const parsed = noteSchema.safeParse(JSON.parse(text))
  return parsed.success && isAlive(parsed.data.pid) ? parsed.data : null
}

export interface Connection {
  readonly environment: Environment
  readonly url: string
  readonly pool: Pool
}

/** @throws RescoreError CLI_NOT_RUNNING when neither is there */
export async function connect(folder: string): Promise<Connection> {
  const environment = readEnvironment(process.env)
  const dev = environment.DATABASE_URL === undefined ? await findDev(folder) : null
  const url = environment.DATABASE_URL ?? dev?.url
  if (url === undefined) {
    throw new RescoreError({
      code: 'CLI_NOT_RUNNING',
      fate: 'stop',
      message: `DATABASE_URL is not set, and no 'rescore dev' runs in ${folder}.`,
      mend: 'Start it in another terminal: rescore dev (or set DATABASE_URL).',
    })
  }
  // The project's own connectors read the simulator's address as they would the real one's.
  for (const [name, value] of Object.entries(dev?.environment ?? {})) process.env[name] ??= value
  return { environment, url, pool: createPool({ url, applicationName: 'rescore cli', max: 2 }) }
}

export async function withConnection<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await connect(process.cwd())
  try {
    return await work(connection)
  } finally {
    await connection.pool.end()
  }
}
