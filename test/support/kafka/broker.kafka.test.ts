/** The brokers that other tests rely on: what they survive, and that none outlives its test. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { withAdmin } from '../../../src/log/kafka/admin.ts'
import { createKafka, DefaultPartitioner } from '../../../src/log/kafka/client.ts'
import { eventually } from '../eventually.ts'
import { startBroker } from './broker.ts'
import { describeWithJava, kafkaSettings } from './kafka.ts'

const client = { log: { warn: () => undefined }, role: 'test' } as const

describeWithJava('a broker for tests', () => {
  test('keeps what it acknowledged over a kill -9, on the same port', async () => {
    await using broker = await startBroker()
    const settings = kafkaSettings({ KAFKA_BROKERS: broker.brokers })
    const topic = `${settings.prefix}.kept`
    await withAdmin(settings, client, 'a test', (admin) =>
      admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }),
    )
    const producer = createKafka(settings, client).producer({ createPartitioner: DefaultPartitioner })
    await producer.connect()
    await producer.send({ topic, acks: -1, messages: [{ key: 'k', value: 'v' }] })
    await producer.disconnect()
    const before = broker.pid
    await broker.kill()
    await broker.start()
    expect(broker.pid).not.toBe(before)
    const [partition] = await withAdmin(settings, client, 'a test', (admin) => admin.fetchTopicOffsets(topic))
    expect(partition).toMatchObject({ partition: 0, high: '1' })
  })

  test('ends when the process that started it is killed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rescore-orphan-'))
    const source = `
      const { startBroker } = await import(${JSON.stringify(new URL('./broker.ts', import.meta.url).href)})
      const broker = await startBroker({ folder: ${JSON.stringify(folder)} })
      process.stdout.write(broker.pid + '\\n')
      setInterval(() => undefined, 1_000)`
    const owner = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    try {
      let pid = 0
      for await (const line of createInterface(owner.stdout)) {
        pid = Number(line)
        break
      }
      expect(() => process.kill(pid, 0)).not.toThrow()
      owner.kill('SIGKILL')
      await eventually(() => expect(() => process.kill(pid, 0)).toThrow(/ESRCH/))
    } finally {
      owner.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    }
  })
})
