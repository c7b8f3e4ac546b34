/**
 * A database of its own for a test, cloned from the migrated template.
 * Invariant: disposing drops its slots first, then the database, and fails the test that left connections open.
 */
import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { createPool, type Pool } from '../../src/db/pool.ts'
import { TEMPLATE } from './pg-server.ts'

/** Cloning needs the template without connections, and one clone at a time. */
const CLONE_LOCK = 7_265_736_302

export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  readonly url: string
  readonly pool: Pool
  query: Pool['query']
}

export async function createTestDatabase(label = 'test'): Promise<TestDatabase> {
  const serverUrl = inject('pgUrl')
  const name = `${label.toLowerCase().replace(/[^a-z0-9]+/g, '_')}_${randomBytes(4).toString('hex')}`
  const admin = createPool({ url: serverUrl, applicationName: 'rescore test admin', max: 1 })
  const client = await admin.connect()
  await client.query('select pg_advisory_lock($1)', [CLONE_LOCK])
  try {
    await client.query(`create database ${name} template ${TEMPLATE}`)
  } finally {
    await client.query('select pg_advisory_unlock($1)', [CLONE_LOCK])
    client.release()
  }
  const url = serverUrl.replace(/\/postgres$/, `/${name}`)
  const pool = createPool({ url, applicationName: 'rescore test', max: 6 })
  return {
    name,
    url,
    pool,
    query: pool.query.bind(pool),
    [Symbol.asyncDispose]: async () => {
      await pool.end()
      try {
        await dropDatabase(admin, name)
      } finally {
        await admin.end()
      }
    },
  }
}

async function leftOpen(admin: Pool, name: string): Promise<readonly string[]> {
  const { rows } = await admin.query<{ application_name: string; query: string }>(
    `select application_name, left(query, 80) as query from pg_stat_activity
     where datname = $1 and backend_type in ('client backend')`,
    [name],
  )
  return rows.map((row) => `${row.application_name}: ${row.query}`)
}

async function dropDatabase(admin: Pool, name: string): Promise<void> {
  await admin.query(
    'select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1 and active',
    [name],
  )
  // A backend takes a moment to be gone after its connection is closed.
  let open = await leftOpen(admin, name)
  for (let attempt = 0; open.length > 0 && attempt < 40; attempt += 1) {
    await sleep(25)
    open = await leftOpen(admin, name)
  }
  for (let attempt = 0; ; attempt += 1) {
    try {
      await admin.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1', [
        name,
      ])
      break
    } catch (error) {
      if (attempt >= 40) throw error
      await sleep(50)
    }
  }
  await admin.query(`drop database ${name} with (force)`)
  if (open.length > 0) throw new Error(`Connections to ${name} were left open:\n${open.join('\n')}`)
}
