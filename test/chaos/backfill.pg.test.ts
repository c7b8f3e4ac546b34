/** The service is killed while a backfill runs beside live load, on the embedded log. RESCORE_CHAOS_KILLS: how often. */
import { expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { fillCompanies, killInBackfills } from './backfill-kills.ts'
import { calm, createChecker } from './running.ts'
import { startChild } from './service-child.ts'
import { killInSilence } from './silent-kills.ts'

const KILLS = Number(process.env.RESCORE_CHAOS_KILLS ?? 30)

async function killIn(database: TestDatabase, kills: number, faults: string): Promise<void> {
  await createProject(database.pool)
  await fillCompanies(database)
  await using checker = await createChecker()
  let child = startChild(database, faults)
  try {
    await child.running()
    await calm(database)
    const kill = async () => {
      child.signal('SIGKILL')
      expect(await child.ended).toEqual({ signal: 'SIGKILL', error: null })
      child = startChild(database, faults)
    }
    const check = async (after: string) => {
      await calm(database)
      expect((await checker.check(database)).differences, after).toEqual([])
    }
    await killInBackfills({ place: database, kill, check }, kills, 1)
  } finally {
    await child[Symbol.asyncDispose]()
  }
}

test(`killed ${KILLS} times in backfills under load, the service skips and doubles nothing`, {
  timeout: 120_000 + KILLS * 20_000,
}, async () => {
  await using database = await createTestDatabase('backfills')
  await killIn(database, KILLS, '')
})

async function killInSilenceOf(database: TestDatabase, kills: number, faults = ''): Promise<void> {
  await createProject(database.pool)
  await fillCompanies(database)
  let child = startChild(database, faults)
  try {
    await child.running()
    await calm(database)
    const restart = async () => {
      child.signal('SIGKILL')
      expect(await child.ended).toEqual({ signal: 'SIGKILL', error: null })
      child = startChild(database, faults, { environment: { RESCORE_TEST_RELEASE: '2' } })
    }
    const victims = { place: database, release: restart, kill: restart, calm: () => calm(database) }
    await killInSilence(victims, kills, 1)
  } finally {
    await child[Symbol.asyncDispose]()
  }
}

test(`killed ${KILLS} times in a silent backfill under load, the service scores what changed and nothing else`, {
  timeout: 120_000 + KILLS * 20_000,
}, async () => {
  await using database = await createTestDatabase('silence')
  await killInSilenceOf(database, KILLS)
})

test('silence that outlives a change is noticed', { timeout: 300_000 }, async () => {
  await using database = await createTestDatabase('silence')
  await expect(killInSilenceOf(database, 2, 'bug:silence-outlives-changes')).rejects.toThrow(/wrong of \d+ touched/)
})

test('a piece that is taken off the list before it is done is noticed', { timeout: 300_000 }, async () => {
  await using database = await createTestDatabase('backfills')
  await expect(killIn(database, 10, 'bug:chunk-before-work')).rejects.toThrow(/counted|target epoch/)
})
