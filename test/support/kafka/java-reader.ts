/** What is in a topic, as Kafka's own Java client reads it. Needs a JDK: the reader is compiled as it starts. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type KafkaVersion, kafkaArchives } from './archives.ts'

const run = promisify(execFile)
const READER = fileURLToPath(new URL('./ReadTopic.java', import.meta.url))
const READ_WITHIN_MS = 60_000

export interface JavaRecord {
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string>>
}

const textOf = (base64: string) => (base64 === '-' ? null : Buffer.from(base64, 'base64').toString())

export async function readByJava(
  version: KafkaVersion,
  brokers: string,
  topic: string,
): Promise<readonly JavaRecord[]> {
  const libraries = await kafkaArchives(version)
  const options = ['-XX:TieredStopAtLevel=1', '-cp', `${libraries}/*`, READER, brokers, topic]
  const { stdout } = await run('java', options, { maxBuffer: 256 * 1_048_576, timeout: READ_WITHIN_MS })
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [partition, offset, key = '-', value = '-', headers = '-'] = line.split(' ')
      const named = (textOf(headers) ?? '').split(',').filter((pair) => pair !== '')
      return {
        partition: Number(partition),
        offset: Number(offset),
        key: textOf(key),
        value: textOf(value),
        headers: Object.fromEntries(
          named.map((pair) => [pair.slice(0, pair.indexOf('=')), textOf(pair.slice(pair.indexOf('=') + 1)) ?? '']),
        ),
      }
    })
}
