import { createServer, type Socket } from 'node:net'
import { expect, inject, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { createPool } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { Health } from './health.ts'
import { Metrics } from './metrics.ts'
import { openProbes, type Probes } from './probes.ts'

interface Told {
  readonly status: number
  readonly why: readonly string[]
}

async function ask(probes: Probes, path: string): Promise<Told> {
  const response = await fetch(`${probes.url}${path}`)
  const { why }: { why: readonly string[] } = JSON.parse(await response.text())
  return { status: response.status, why }
}

async function open(url: string) {
  const health = new Health()
  const metrics = new Metrics()
  const errors: Error[] = []
  const onError = (error: Error) => void errors.push(error)
  const probes = await openProbes({ host: '127.0.0.1', port: 0, url, health, metrics, onError })
  return {
    health,
    metrics,
    probes,
    text: async () => (await fetch(`${probes.url}/metrics`)).text(),
    [Symbol.asyncDispose]: async () => {
      await probes[Symbol.asyncDispose]()
      expect(errors).toEqual([])
    },
  }
}

test('ready from the moment every part runs or stands by until the process is asked to stop, and why not', async () => {
  await using database = await createTestDatabase('probes')
  await using process = await open(database.url)
  const { health, probes } = process
  health.set('recompute', 'starting', 'not in its consumer group yet')
  expect(await ask(probes, '/readyz')).toEqual({
    status: 503,
    why: ['it is starting', 'recompute: starting, not in its consumer group yet'],
  })
  expect(await ask(probes, '/healthz')).toEqual({ status: 200, why: [] })
  health.set('recompute', 'running')
  health.set('capture', 'standing by')
  health.started()
  expect(await ask(probes, '/readyz')).toEqual({ status: 200, why: [] })
  expect(await process.text()).toMatch(/^rescore_part_ready\{part="capture"\} 1$/m)
  health.drain()
  expect(await ask(probes, '/readyz')).toEqual({ status: 503, why: ['it is stopping'] })
  expect(await ask(probes, '/healthz')).toEqual({ status: 200, why: [] })
})

test('unhealthy once a part has failed, in words that tell no values', async () => {
  await using database = await createTestDatabase('probes')
  await using process = await open(database.url)
  const { health, probes } = process
  health.started()
  health.set('capture', 'running')
  health.set('score', 'running')
  health.failed('capture', new RescoreError({ code: 'CAPTURE_X', fate: 'stop', message: 'It is gone.', mend: 'none' }))
  health.failed('score', Object.assign(new Error('invalid input: "secret"'), { code: '22P02' }))
  const why = ['capture: failed, CAPTURE_X: It is gone.', 'score: failed, 22P02: the log says more']
  expect(await ask(probes, '/healthz')).toEqual({ status: 503, why })
  health.set('capture', 'running')
  expect(await ask(probes, '/readyz')).toEqual({ status: 503, why })
  expect(await process.text()).toMatch(/^rescore_part_ready\{part="score"\} 0$/m)
})

test('not ready while the database is away, and without figures that are old; ready again when it is back', async () => {
  await using database = await createTestDatabase('probes')
  await using process = await open(database.url)
  const { health, probes } = process
  health.started()
  expect((await ask(probes, '/readyz')).status).toBe(200)
  const before = await process.text()
  expect(before).toMatch(/^rescore_database_reachable 1$/m)
  expect(before).toMatch(/^rescore_quarantined_entities 0$/m)
  // From another database: no session can close its own.
  const admin = createPool({ url: inject('pgUrl'), applicationName: 'rescore test admin', max: 1 })
  await admin.query(`alter database ${database.name} with allow_connections false`)
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'rescore health'`,
    [database.name],
  )
  await eventually(async () => {
    const { status, why } = await ask(probes, '/readyz')
    expect([status, why]).toEqual([503, [expect.stringMatching(/^the database cannot be reached \(\w+\)$/)]])
  })
  expect((await ask(probes, '/healthz')).status).toBe(200)
  await eventually(async () => {
    const text = await process.text()
    expect(text).toMatch(/^rescore_database_reachable 0$/m)
    expect(text).not.toMatch(/^rescore_quarantined_entities \d/m)
  })
  await admin.query(`alter database ${database.name} with allow_connections true`)
  await admin.end()
  await eventually(async () => expect(await ask(probes, '/readyz')).toEqual({ status: 200, why: [] }))
  await eventually(async () => expect(await process.text()).toMatch(/^rescore_quarantined_entities 0$/m))
})

test('answers although the database does not', async () => {
  const sockets = new Set<Socket>()
  const silent = createServer((socket) => void sockets.add(socket))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const address = silent.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  {
    await using process = await open(`postgresql://x@127.0.0.1:${port}/x`)
    process.health.started()
    expect(await ask(process.probes, '/readyz')).toEqual({
      status: 503,
      why: ['the database cannot be reached (no answer in time)'],
    })
    expect(await process.text()).toMatch(/^rescore_database_reachable 0$/m)
  }
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => silent.close(resolve))
})

test('what is kept aside and how far the stages are behind is read from the database', async () => {
  await using database = await createTestDatabase('probes')
  await using process = await open(database.url)
  await database.query(
    `insert into rescore.quarantine (entity, key, feature, code, reason, epoch) values ('company', '1', 'f', 'X', 'y', 1)`,
  )
  await database.query(
    `insert into rescore.stage_position (stage, lsn, index, reflected_lsn) values ('recompute', '0/1', 0, '0/1')`,
  )
  const text = await process.text()
  expect(text).toMatch(/^rescore_quarantined_entities 1$/m)
  expect(text).toMatch(/^rescore_dead_letter_records 0$/m)
  expect(text).toMatch(/^rescore_stage_unreflected_bytes\{stage="recompute"\} [1-9]/m)
})

test('figures that cannot be read are left out and counted, by code', async () => {
  await using database = await createTestDatabase('probes')
  await using process = await open(database.url)
  await database.query('drop table rescore.quarantine')
  const text = await process.text()
  expect(text).toMatch(/^rescore_database_figures_failures_total\{code="42P01"\} 1$/m)
  expect(text).not.toMatch(/^rescore_dead_letter_records /m)
})

test('only reading is answered, on three paths; a port that is taken is refused with what to do', async () => {
  await using database = await createTestDatabase('probes')
  await using process = await open(database.url)
  const { url } = process.probes
  expect((await fetch(`${url}/metrics`, { method: 'POST', body: 'x'.repeat(100_000) })).status).toBe(405)
  expect((await fetch(`${url}/`)).status).toBe(404)
  const head = await fetch(`${url}/readyz?verbose`, { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([503, ''])
  const port = Number(new URL(url).port)
  const { health, metrics } = process
  const again = openProbes({ host: '127.0.0.1', port, url: database.url, health, metrics, onError: () => undefined })
  await expect(again).rejects.toMatchObject({
    code: 'CONFIG_METRICS_PORT',
    message: expect.stringContaining('EADDRINUSE'),
  })
})
