/** The directory's changes as edits in the CRM: what is mapped to what, and who is said to have made an edit. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { applyYcChange, loadYcPortal, type Portal, ycChanges } from './index.ts'

const SHARED = resolve(import.meta.dirname, '../../../shared/data/yc')

async function replayed(folder: string): Promise<Portal> {
  const portal = await loadYcPortal(folder)
  for (const day of await ycChanges(folder)) {
    portal.clock.set(day.atMs)
    for (const change of day.changes) applyYcChange(portal, change)
  }
  return portal
}

async function folderOf(companies: readonly object[], changes: readonly object[]) {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-yc-'))
  const lines = (items: readonly object[]) => gzipSync(items.map((item) => `${JSON.stringify(item)}\n`).join(''))
  await writeFile(join(folder, 'companies-2023-01-29.jsonl.gz'), lines(companies))
  await writeFile(join(folder, 'changes.jsonl.gz'), lines(changes))
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
}

const COMPANY = {
  id: 5,
  name: 'CircuitHub',
  slug: 'circuithub',
  website: '',
  all_locations: 'London, England, United Kingdom; Remote',
  long_description: 'one line\u2028and another',
  team_size: 45,
  launched_at: 1_493_176_904,
  tags: ['Hardware', 'Hard Tech'],
  top_company: false,
  isHiring: true,
  regions: ['Europe', 'Remote'],
}

describe('the directory as a portal', () => {
  it('maps fields to properties as the models were trained on', async () => {
    await using at = await folderOf([COMPANY], [])
    const portal = await loadYcPortal(at.folder)
    expect(portal.get('companies', 5)?.properties).toStrictEqual({
      name: 'CircuitHub',
      city: 'London, England, United Kingdom; Remote',
      country: 'United Kingdom',
      description: 'one line\u2028and another',
      numberofemployees: '45',
      yc_launched_at: '2017-04-26T03:21:44.000Z',
      yc_tags: 'Hardware;Hard Tech',
      yc_top_company: 'false',
      yc_is_hiring: 'true',
      yc_regions: 'Europe;Remote',
    })
  })

  it('tells what the company changed from what the publisher did, and takes what leaves and comes back', async () => {
    const update = (date: string, fields: object) => ({ date, op: 'update', id: 5, fields })
    await using at = await folderOf(
      [COMPANY],
      [
        update('2023-02-13', { tags: ['Robotics'], team_size: 50 }),
        update('2023-06-13', { tags: ['Drones'], status: 'Acquired' }),
        { date: '2023-07-13', op: 'delete', id: 5 },
        { date: '2023-07-13', op: 'insert', id: 6, fields: { name: 'Other' } },
        { date: '2023-09-13', op: 'insert', id: 5, fields: { name: 'Circuit Hub' } },
      ],
    )
    const portal = await replayed(at.folder)
    const sources = (property: string) =>
      portal
        .get('companies', 5)
        ?.history.get(property)
        ?.map(({ value, source }) => `${value} ${source}`)
    expect(sources('yc_tags')).toStrictEqual(['Drones CRM_UI', 'Robotics IMPORT', 'Hardware;Hard Tech IMPORT'])
    expect(sources('numberofemployees')).toStrictEqual(['50 CRM_UI', '45 IMPORT'])
    expect(sources('yc_status')).toStrictEqual(['Acquired IMPORT'])
    expect(portal.get('companies', 5)?.properties.name).toBe('Circuit Hub')
    expect([...portal.live('companies')].map(({ id }) => id)).toStrictEqual([5, 6])
  })

  it.skipIf(!existsSync(SHARED))('holds 4,051 companies, and 5,283 after two and a half years', async () => {
    const start = await loadYcPortal(SHARED)
    expect(start.count('companies')).toBe(4_051)
    const portal = await replayed(SHARED)
    expect(portal.count('companies')).toBe(4_051 + 1_380 - 148)
    const edits = { CRM_UI: 0, IMPORT: 0 }
    const left = new Set(
      (await ycChanges(SHARED)).flatMap(({ changes }) =>
        changes.filter(({ op }) => op === 'delete').map(({ id }) => id),
      ),
    )
    for (const { id, history } of portal.records('companies').from(0)) {
      // Who left and came back has a history in the CRM, and none in the training.
      if (left.has(id)) continue
      for (const [property, versions] of history) {
        if (property === 'country') continue
        for (const { source } of versions) edits[source === 'CRM_UI' ? 'CRM_UI' : 'IMPORT'] += 1
      }
    }
    // As models/training/frame.py counts them; it counts two edits that changed nothing.
    expect(edits).toStrictEqual({ CRM_UI: 25_276 - 2, IMPORT: 109_458 })
  })
})
