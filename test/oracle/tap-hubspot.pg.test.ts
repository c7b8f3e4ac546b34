/**
 * Two clients that others wrote read the portal our connector reads: HubSpot's own (@hubspot/api-client) and a Singer tap
 * (tap-hubspot of singer-io, from PyPI). All three must see the same records with the same values, and see what the portal
 * itself says it holds, so that neither our connector nor the simulator is right only by its own lights.
 *
 * They may differ in this and nothing else:
 * - how a value is written: a time as ISO text or as milliseconds, no value as null, as '' or by leaving it out;
 * - the tap takes numbers for doubles, so that 2^53 + 1 comes rounded from it, and from it alone;
 * - a record that is archived or merged away after the tap has read it stays with the tap, which never hears of it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isSourceError } from '../../src/connect/options.ts'
import { type Portal, SimulatorClock, seedPortal } from '../simulator/index.ts'
import { whyNoPython } from '../singer/python.ts'
import { expectedRows, setUpHubspot, T0 } from '../support/hubspot.ts'
import { inDoubles, meant, OURS, type Row, readersOf, TYPES, type Type } from './three-readers.ts'

/** One of everything that can happen to a record, to each type. @returns ids that are no more */
function happen(portal: Portal): Readonly<Record<Type, readonly number[]>> {
  const turn = (type: Type, edits: Parameters<Portal['edit']>[2]) => {
    const [edited = 0, archived = 0, first = 0, second = 0, back = 0] = [...portal.live(type)].map(({ id }) => id)
    portal.clock.advance(61_007)
    portal.edit(type, edited, edits)
    portal.archive(type, archived)
    portal.archive(type, back)
    portal.restore(type, back)
    portal.merge(type, first, second)
    portal.create(type, edits)
    return [archived, first, second]
  }
  const ids = {
    companies: turn('companies', {
      name: 'Blåbær "AS" 🫐, \\ and sons',
      numberofemployees: 41,
      annualrevenue: '9007199254740993',
      description: null,
      yc_is_hiring: true,
      yc_launched_at: T0 - 123,
    }),
    contacts: turn('contacts', { email: 'zoë@blåbær.example', jobtitle: '', associatedcompanyid: 1_020 }),
    deals: turn('deals', { amount: '0.1', dealstage: 'closedwon', closedate: T0 + 7 }),
  }
  portal.clock.advance(120_000)
  return ids
}

const told = (portal: Portal, type: Type) => meant(OURS[type], expectedRows(portal, type, OURS[type]))

describe.skipIf(whyNoPython !== undefined)('one portal, read by three', () => {
  test('the official client, a Singer tap and our connector see the same records with the same values', {
    // A first installation takes its time.
    timeout: 400_000,
  }, async ({ skip }) => {
    const portal = seedPortal({ seed: 11, companies: 60, dealsPerCompany: 2.5, clock: SimulatorClock.frozenAt(T0) })
    happen(portal)
    const folder = await mkdtemp(join(tmpdir(), 'rescore-tap-'))
    try {
      await using at = await setUpHubspot({ portal, ...OURS })
      const { ours, official, tap, dealsOfCompanies } = await readersOf(at, folder)
      for (const type of TYPES) {
        const rows = await tap(type).catch((error: unknown) => {
          if (isSourceError(error) && error.code === 'CONNECT_TAP_INSTALL' && error.kind === 'transient') {
            skip(error.message)
          }
          throw error
        })
        expect(rows.length).toBeGreaterThan(58)
        const truth = told(portal, type)
        expect(rows, `${type} by the tap`).toStrictEqual(inDoubles(type, truth))
        expect(await official(type), `${type} by the official client`).toStrictEqual(truth)
        expect(await ours(type), `${type} by our connector`).toStrictEqual(truth)
      }
      const { ours: pairs, ...others } = await dealsOfCompanies()
      expect(pairs.length).toBeGreaterThan(100)
      expect(others).toStrictEqual({ official: pairs, tap: pairs })
      const gone = happen(portal)
      for (const type of TYPES) {
        const truth = told(portal, type)
        expect(await ours(type), `${type} by our connector`).toStrictEqual(truth)
        expect(await official(type), `${type} by the official client`).toStrictEqual(truth)
        const kept = await tap(type)
        const isGone = ({ id }: Row) => gone[type].includes(Number(id))
        const rest = kept.filter((row) => !isGone(row))
        expect(rest, `${type} by the tap`).toStrictEqual(inDoubles(type, truth))
        expect(kept.filter(isGone).map(({ id }) => Number(id))).toStrictEqual([...gone[type]].sort((a, b) => a - b))
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
