import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { describeKafka } from '../../test/support/kafka/kafka.ts'

const run = promisify(execFile)
const program = fileURLToPath(new URL('./main.ts', import.meta.url))

async function topics(environment: Readonly<Record<string, string>>, ...flags: string[]) {
  const flagged = ['--disable-warning=TimeoutNegativeWarning', program, 'topics', ...flags]
  const ended = await run(process.execPath, flagged, { env: { ...process.env, ...environment } }).catch(
    (failed: { code: number; stdout: string; stderr: string }) => failed,
  )
  return { code: 'code' in ended ? ended.code : 0, stdout: ended.stdout, stderr: ended.stderr }
}

describeKafka('rescore topics', ({ brokers }) => {
  test('says what is missing and exits with 3, makes it when told to, and then has nothing to say', async () => {
    const environment = {
      KAFKA_BROKERS: brokers,
      KAFKA_PREFIX: `t${crypto.randomUUID().slice(0, 8)}`,
      KAFKA_PARTITIONS: '2',
    }
    const looked = await topics(environment)
    expect(looked).toMatchObject({ code: 3, stderr: '' })
    expect(looked.stdout).toMatch(/\.hubspot\.companies +2 partitions × 1 +missing +missing\n/)
    expect(looked.stdout).toContain('mend topic: rescore topics --apply')
    const applied = await topics(environment, '--apply')
    expect(applied).toMatchObject({ code: 0, stderr: '' })
    expect(applied.stdout).toMatch(/\.rescore\.features_company +2 partitions × 1 +2 partitions × 1 +-\n/)
    const other = await topics({ ...environment, KAFKA_PARTITIONS: '3' }, '--json')
    expect(other.code).toBe(3)
    expect(JSON.parse(other.stdout).topics[0]).toMatchObject({
      should: { partitions: 3 },
      is: { partitions: 2 },
      differences: [{ what: 'partitions', canApply: false, mend: expect.stringContaining('KAFKA_PARTITIONS=2') }],
    })
  })

  test('says once and in few words that nobody answers, and exits with 4', async () => {
    const nobody = await topics({ KAFKA_BROKERS: '127.0.0.1:1' })
    expect(nobody).toMatchObject({ code: 4, stdout: '' })
    expect(nobody.stderr).toMatch(/^LOG_KAFKA_UNREACHABLE: .*\n {2}mend: .*\n$/)
  })
})
