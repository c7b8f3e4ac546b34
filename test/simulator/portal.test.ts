/** The portal by itself: what moves its times, its index, and that a seed says everything. */
import { describe, expect, it } from 'vitest'
import { loadPortal, Portal, randomFrom, SimulatorClock, seedPortal, startSimulator } from './index.ts'
import { liveEdit } from './live-edits.ts'

const T0 = Date.parse('2026-06-01T00:00:00Z')

function frozen(companies = 0): Portal {
  const portal = new Portal({ clock: SimulatorClock.frozenAt(T0), indexLag: 0 })
  for (let id = 1; id <= companies; id += 1) portal.create('companies', { name: `Company ${id}` }, { id })
  return portal
}

describe('modification times', () => {
  it('move with a write, never with archiving, restoring or associating', () => {
    const portal = frozen(2)
    portal.create('contacts', {}, { id: 9 })
    portal.clock.advance(5_000)
    portal.associate('companies', 1, 'contacts', 9)
    portal.archive('companies', 1)
    portal.restore('companies', 1)
    expect(portal.get('companies', 1)?.modifiedMs).toBe(T0)
    portal.edit('companies', 1, { name: 'Other' })
    expect(portal.get('companies', 1)?.modifiedMs).toBe(T0 + 5_000)
  })

  it('never go back in the index, whatever the order in which two writes reach it', () => {
    const portal = frozen(0)
    portal.indexLag = { min: 0, max: 60_000 }
    const random = randomFrom(7)
    const records = Array.from({ length: 50 }, () => portal.create('companies', { name: 'x' }))
    const seen = new Map<number, number>()
    for (let step = 0; step < 2_000; step += 1) {
      portal.clock.advance(random.whole(1, 500))
      const record = records[random.whole(0, 49)]
      if (record !== undefined) portal.edit('companies', record.id, { name: String(step) })
      for (const { id, indexedAt } of records.map((one) => ({
        id: one.id,
        indexedAt: one.indexedAt(portal.clock.now()),
      }))) {
        const before = seen.get(id) ?? 0
        expect(indexedAt?.modifiedMs ?? 0).toBeGreaterThanOrEqual(before)
        seen.set(id, indexedAt?.modifiedMs ?? 0)
      }
    }
    portal.clock.advance(60_000)
    for (const record of records) expect(record.indexedAt(portal.clock.now())?.modifiedMs).toBe(record.modifiedMs)
  })
})

describe('a portal', () => {
  const lively = (seed: number) => {
    const portal = seedPortal({ seed, companies: 80, clock: SimulatorClock.frozenAt(T0) })
    const random = randomFrom(seed)
    for (let edits = 0; edits < 300; edits += 1) {
      portal.clock.advance(500)
      liveEdit(portal, random)
    }
    return portal
  }

  it('is the same for the same seed, another for another', () => {
    expect(lively(3).dump()).toStrictEqual(lively(3).dump())
    expect(lively(4).dump()).not.toStrictEqual(lively(3).dump())
  })

  it('comes back from its dump as it was, over the control API too', async () => {
    const portal = lively(3)
    await using simulator = await startSimulator({ portal })
    const dumped = await fetch(`${simulator.url}/__sim/state`)
    const again = loadPortal(await dumped.json(), { clock: SimulatorClock.frozenAt(portal.clock.now()) })
    expect(again.dump()).toStrictEqual(portal.dump())
    expect(again.create('deals', {}).id).toBe(portal.create('deals', {}).id)
  })
})
