/** Data sets of what a running service has written: keys that need quoting, every type, edits, deletions, things put aside. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDataset } from '../../src/dataset/create.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { formatInstant } from '../../src/history/instant.ts'
import { readHorizon } from '../../src/history/read.ts'
import { calm, startIn } from '../chaos/running.ts'
import { quiet, rowsIn } from '../support/datasets.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { POISON, projectConfig } from '../support/project-features.ts'
import { createProject } from '../support/project-sql.ts'

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`

interface Moment {
  /** Text of a time at which this was what was known: after all that was written, before anything else is. */
  readonly at: string
  /** `key|feature` to the stored value as text. */
  readonly stored: ReadonlyMap<string, string | null>
}

async function momentOf(database: TestDatabase, entity: string): Promise<Moment> {
  await calm(database)
  const written = await database.query<{ at: string }>('select clock_timestamp()::text as at')
  const at = await eventually(async () => {
    const horizon = await readHorizon(database.pool)
    const { rows } = await database.query<{ isPast: boolean }>('select $1::timestamptz > $2::timestamptz as "isPast"', [
      formatInstant(horizon),
      written.rows[0]?.at,
    ])
    if (rows[0]?.isPast !== true) throw new Error('Something is still under way.')
    return formatInstant(horizon - 1n)
  })
  const { rows } = await database.query<{ key: string; name: string; value: string | null }>(
    `select t.key::text as key, v.key as name, v.value from rescore.features_${entity} t, jsonb_each_text(to_jsonb(t)) v
     where v.key not in ('key', 'snap_lsn', 'epoch', 'source_lsn', 'source_at', 'computed_at')`,
  )
  return { at, stored: new Map(rows.map(({ key, name, value }) => [`${key}|${name}`, value])) }
}

const textOf = (value: unknown) => (value === null || value === undefined ? null : String(value))

test.each(['company', 'contact'])(
  'what was known of each %s then is what was stored then, digit by digit',
  async (entity) => {
    const folder = await mkdtemp(join(tmpdir(), 'rescore-service-'))
    await using database = await createTestDatabase('dataset_service')
    await createProject(database.pool)
    const moments: Moment[] = []
    {
      await using _running = await startIn(database)
      moments.push(await momentOf(database, entity))
      await database.query(`update app.event set weight = weight * 1.1, kind = 'visit' where id % 2 = 0`)
      await database.query(`update app.company set name = $1, employees = 1 where id = 3`, [POISON])
      await database.query(`update app.contact set company_id = 4, score = null where score > 7`)
      moments.push(await momentOf(database, entity))
      await database.query('delete from app.company where id in (5, 6)')
      await database.query(`delete from app.contact where score = 2`)
      await database.query(`update app.company set name = 'well again' where id = 3`)
      moments.push(await momentOf(database, entity))
      await database.query(`insert into app.company (id, name, employees) values (5, 'back', 2)`)
      moments.push(await momentOf(database, entity))
    }
    const node = compileGraph(projectConfig).entities.get(entity)
    if (node === undefined) throw new Error(`There is no ${entity}.`)
    const keys = [
      ...new Set(moments.flatMap(({ stored }) => [...stored.keys()].map((name) => name.split('|')[0] ?? ''))),
    ]
    const file = join(folder, 'list.csv')
    const asked = keys.flatMap((key) => moments.map(({ at }, nr) => ({ key, at, nr })))
    const lines = asked.map(({ key, at, nr }) => [key, at, String(nr)].map(quoted).join(','))
    await writeFile(file, ['id,seen,nr', ...lines].join('\n'))
    const request = { name: entity, node, features: node.features, file, key: 'id', at: 'seen', to: folder, s3: null }
    const made = await createDataset(database.pool, request, quiet)
    expect(made.manifest.rows).toMatchObject({ served: asked.length, rejected: 0, cut: 0, otherType: 0 })
    let compared = 0
    for (const row of await rowsIn(made)) {
      const { stored } = moments[Number(row.nr)] ?? { stored: new Map<string, string | null>() }
      for (const { feature } of node.features) {
        const name = `${row.id}|${feature.name}`
        const expected = stored.get(name) ?? null
        const found = textOf(row[feature.name])
        const isNumber = feature.type === 'number' && expected !== null && found !== null
        expect(isNumber ? Number(found) : found, `${name} at ${row.nr}`).toBe(isNumber ? Number(expected) : expected)
        compared += 1
      }
    }
    expect(compared).toBe(asked.length * node.features.length)
    expect(new Set(moments.map(({ stored }) => JSON.stringify([...stored].sort()))).size).toBeGreaterThan(2)
    await rm(folder, { recursive: true })
  },
)
