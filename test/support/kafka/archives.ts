/**
 * Kafka's Java archives from Maven Central, fetched once per version and kept outside the repository.
 *
 * Invariant: the folder appears whole or not at all, so any number of processes may ask at once: each fetches into a
 * folder of its own (Maven's local repository included, which is not made for two writers) and renames it; the first wins.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const FETCH_TIMEOUT_MS = 240_000

export const KAFKA_VERSIONS = ['3.9.2', '4.4.0'] as const
export type KafkaVersion = (typeof KAFKA_VERSIONS)[number]

const cacheFolder = () => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rescore')

/** Why no broker can run here, in words for a person; null when one can. */
export async function whyNoKafka(): Promise<string | null> {
  try {
    // Java prints its version on stderr.
    const { stderr } = await run('java', ['-version'])
    const major = Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0)
    return major >= 17 ? null : `Kafka 4 needs Java 17 or newer; here is Java ${major}.`
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'Java is not installed.'
    throw error
  }
}

/** The folder with the jars of a version. @throws when Maven is missing or cannot fetch them */
export async function kafkaArchives(version: KafkaVersion): Promise<string> {
  const home = join(cacheFolder(), `kafka-${version}`)
  if (existsSync(home)) return home
  await mkdir(cacheFolder(), { recursive: true })
  const work = await mkdtemp(`${home}.`)
  try {
    await copyFile(new URL(`./pom-${version}.xml`, import.meta.url), join(work, 'pom.xml'))
    const libraries = join(work, 'libs')
    const flags = ['-q', '-B', `-Dmaven.repo.local=${join(work, 'repository')}`]
    const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${libraries}`]
    try {
      await run('mvn', [...flags, ...goal], { cwd: work, timeout: FETCH_TIMEOUT_MS })
    } catch (cause) {
      throw new Error(`Maven could not fetch Kafka ${version}; mvn must be on the PATH and reach Maven Central.`, {
        cause,
      })
    }
    if ((await readdir(libraries)).length === 0) throw new Error(`Maven fetched nothing for Kafka ${version}.`)
    try {
      await rename(libraries, home)
    } catch (error) {
      if (!existsSync(home)) throw error
    }
    return home
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
