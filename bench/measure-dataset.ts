/**
 * Data sets: (entity, time) rows joined to what was known then, written as Parquet to a local folder.
 *
 * The history is written by SQL: each company begins with a value of every feature and moves three of them nine times. The
 * list asks of companies in any order, as many rows as the history has, at times from before the first to after the last.
 */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as features from '../features/company.ts'
import { migrate } from '../src/db/migrate.ts'
import type { Pool } from '../src/db/pool.ts'
import { defineConfig } from '../src/define/index.ts'
import { compileGraph } from '../src/graph/compile.ts'
import { askChild } from './ask-child.ts'
import type { DatasetOrder, DatasetResult } from './children/messages.ts'
import type { BenchContext } from './context.ts'
import type { Figures, Measurement } from './measurement.ts'
import { perSecond, round } from './statistics.ts'

const SIZES = [100_000, 1_000_000]
const STEPS_EACH = 10
const MOVED = 3
const LINES_AT_ONCE = 10_000

/** A value that depends on company `e` and step `s`. */
const VALUE_SQL = {
  number: 'round((e * 7919 + s * 104729) % 100003 / 7.0, 6)',
  integer: '(e * 31 + s * 17) % 1000',
  boolean: '(e + s) % 3 = 0',
  text: `'value ' || (e + s) % 50`,
} as const

/** One year in steps: `s` tenths of it. */
const TIME_SQL = `timestamptz '2024-01-01' + (s * interval '36 days') + (e % 86400) * interval '1 second'`

async function writeHistory(pool: Pool, rows: number): Promise<void> {
  const node = compileGraph(defineConfig({ features: [features], models: [] })).entities.get('company')
  const all = (node?.features ?? []).map(({ feature }) => feature)
  const json = (chosen: typeof all) =>
    `json_build_object(${chosen.map(({ name, type }) => `'${name}', json_build_object('to', ${VALUE_SQL[type]})`).join(', ')})`
  await pool.query(
    `insert into rescore.definition (entity, feature, version, hash, changed_in_epoch) select 'company', unnest($1::text[]), 1, 'h', 1`,
    [all.map(({ name }) => name)],
  )
  // Written as time passes: rows of one company lie far from each other.
  for (let step = 0; step < STEPS_EACH; step += 1) {
    const moved = Array.from({ length: MOVED }, (_, nr) => all[(step * MOVED + nr) % all.length]).filter(
      (feature) => feature !== undefined,
    )
    await pool.query(
      `insert into rescore.feature_history (entity, key, op, changed, causes, cause_count, epoch, snap_lsn, valid_at, recorded_at)
       select 'company', e::text, ${step === 0 ? `'insert', ${json(all)}` : `'update', ${json(moved)}`}, '[]', 0, 1, '0/1', ${TIME_SQL}, ${TIME_SQL}
       from generate_series(1, $1::integer) e, (values (${step})) as t(s)`,
      [rows / STEPS_EACH],
    )
  }
  await pool.query('vacuum analyze rescore.feature_history')
  await pool.query('checkpoint')
}

async function writeList(file: string, rows: number): Promise<void> {
  const handle = await open(file, 'w')
  try {
    await handle.write('id,seen,label\n')
    const companies = rows / STEPS_EACH
    for (let start = 0; start < rows; start += LINES_AT_ONCE) {
      const lines = Array.from({ length: Math.min(LINES_AT_ONCE, rows - start) }, (_, offset) => {
        const nr = start + offset
        const company = ((nr * 7_919) % companies) + 1
        const at = new Date(Date.UTC(2023, 11, 25) + ((nr * 104_729) % 380) * 86_400_000)
        return `${company},${at.toISOString()},${nr % 2}\n`
      })
      await handle.write(lines.join(''))
    }
  } finally {
    await handle.close()
  }
}

async function measure(context: BenchContext, size: number): Promise<Figures> {
  const { signal, say } = context
  const rows = Math.ceil(size / STEPS_EACH) * STEPS_EACH
  await using database = await context.createEmpty(`dataset_${size}`)
  await migrate(database.pool)
  say(`dataset: ${rows} rows of history`)
  await writeHistory(database.pool, rows)
  const folder = await mkdtemp(join(tmpdir(), 'rescore-bench-dataset-'))
  try {
    const file = join(folder, 'list.csv')
    await writeList(file, rows)
    say(`dataset: ${rows} rows joined`)
    const order = { url: database.url, file, to: folder, name: 'bench' }
    const made = await askChild<DatasetOrder, DatasetResult>('dataset.ts', order, { signal })
    return {
      historyRows: rows,
      rows: made.rows,
      features: made.features,
      unknown: made.unknown,
      seconds: round(made.ms / 1_000, 2),
      rowsPerSecond: perSecond(made.rows, made.ms),
      valuesPerSecond: perSecond(made.rows * made.features, made.ms),
      cpuSeconds: round(made.cpuSeconds, 2),
      peakRssMb: made.peakRssMb,
      bytes: made.bytes,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export const dataset: Measurement = {
  name: 'dataset',
  run: async (context) => {
    const measured: Record<string, Figures> = {}
    for (const size of SIZES) measured[`at${size}`] = await measure(context, context.scaled(size, 100))
    return measured
  },
}
