/**
 * A tablespace on a small disk of its own (tmpfs), which can be filled up and given space again: what PostgreSQL says then
 * is what a full disk makes it say.
 *
 * Invariant: disposing drops the tablespace and unmounts; the tables on it are gone before, with their database.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { inject } from 'vitest'
import { createPool } from '../../src/db/pool.ts'

const run = promisify(execFile)

/** As root, or as whoever may become it without being asked. */
async function asRoot(...command: readonly string[]): Promise<void> {
  if (process.getuid?.() === 0) await run(command[0] ?? '', command.slice(1))
  else await run('sudo', ['-n', ...command])
}

async function mounted(sizeMb: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-disk-'))
  try {
    await asRoot('mount', '-t', 'tmpfs', '-o', `size=${sizeMb}m`, 'tmpfs', folder)
  } catch (error) {
    await rm(folder, { recursive: true })
    throw error
  }
  return folder
}

async function unmounted(folder: string): Promise<void> {
  await asRoot('umount', folder)
  await rm(folder, { recursive: true })
}

/** Whether this machine lets a test mount anything. */
export async function canMount(): Promise<boolean> {
  try {
    await unmounted(await mounted(1))
    return true
  } catch {
    return false
  }
}

export interface SmallDisk extends AsyncDisposable {
  readonly tablespace: string
  /** Leaves no more than this. */
  fill(leaveBytes: number): Promise<void>
  empty(): Promise<void>
}

export async function createSmallDisk(sizeMb: number): Promise<SmallDisk> {
  const pool = createPool({ url: inject('pgUrl'), applicationName: 'rescore test admin', max: 1 })
  const { rows } = await pool.query<{ data_directory: string }>('show data_directory')
  const { uid, gid } = await stat(rows[0]?.data_directory ?? '')
  const folder = await mounted(sizeMb)
  const filler = join(folder, 'filler')
  const tablespace = `small_${process.pid}_${Date.now()}`
  await asRoot('mkdir', join(folder, 'space'))
  await asRoot('chown', '-R', `${uid}:${gid}`, folder)
  await asRoot('chmod', '755', folder)
  await pool.query(`create tablespace ${tablespace} location '${join(folder, 'space')}'`)
  return {
    tablespace,
    fill: async (leaveBytes) => {
      const file = await open(filler, 'a')
      try {
        for (let piece = 1_048_576; piece >= 4_096; ) {
          try {
            await file.write(Buffer.alloc(piece))
          } catch {
            piece /= 2
          }
        }
        const { size } = await file.stat()
        await file.truncate(Math.max(0, size - leaveBytes))
      } finally {
        await file.close()
      }
    },
    empty: () => rm(filler, { force: true }),
    [Symbol.asyncDispose]: async () => {
      await pool.query(`drop tablespace ${tablespace}`)
      await pool.end()
      await unmounted(folder)
    },
  }
}
