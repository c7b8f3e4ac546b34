/** The journal: what happens in the portal is in the tables although nobody has looked for changes, also after a gap. */
import { describe, expect, it } from 'vitest'
import { DEFAULT_APP, JOURNAL_KEPT_MS, PORTAL_ID } from '../../test/simulator/index.ts'
import { expectSame, expectSameRecords, live, loadAll, relate, setUpLively } from '../../test/support/hubspot-life.ts'

describe('the journal', () => {
  const journal = { ...DEFAULT_APP, portalId: PORTAL_ID }

  it.each(['2026-09', 'v3'])('brings everything that happens, read by %s', async (apiVersion) => {
    await using at = await setUpLively({ journal, apiVersion })
    await at.pass('journal')
    await loadAll(at)
    live(at)
    relate(at)
    await at.pass('journal')
    await expectSame(at)
    expect((await at.pass('journal')).written).toBe(0)
    relate(at)
    live(at)
    at.simulator.expireTokens()
    await at.pass('journal')
    await expectSame(at)
    expect(at.simulator.journal.subscriptions).toHaveLength(11)
  })

  it('goes on after the file that landed when it is killed, and makes its subscriptions once', async () => {
    await using at = await setUpLively({ journal })
    await at.pass('journal')
    await loadAll(at)
    live(at)
    at.simulator.faults.add({ kind: 'status', status: 503, match: 'POST /crm/objects/2026-09/deals', count: 50 })
    await expect(at.pass('journal')).rejects.toMatchObject({ code: 'HUBSPOT_UNAVAILABLE' })
    at.simulator.faults.clear()
    relate(at)
    await at.pass('journal')
    await expectSame(at)
    expect(at.simulator.journal.subscriptions).toHaveLength(11)
  })

  it.each([
    ['HubSpot has forgotten its position', JOURNAL_KEPT_MS / 2],
    ['it was away for longer than HubSpot keeps files', JOURNAL_KEPT_MS],
  ])('after a gap (%s) everything is swept once', async (_, awayMs) => {
    await using at = await setUpLively({ journal })
    await at.pass('journal')
    await loadAll(at)
    live(at)
    await at.pass('journal')
    live(at)
    // The file with these is never read: it is published and grows too old.
    at.simulator.journal.files()
    at.clock.advance(awayMs)
    if (awayMs < JOURNAL_KEPT_MS) {
      await at.db.query(
        `update rescore.connector_state set state = state || '{"offset": "00000000-0000-4000-8000-000000000000"}' where stream = 'journal'`,
      )
    }
    await at.pass('journal')
    await expectSameRecords(at)
    expect(at.warnings.join('\n')).toContain('The journal has a gap')
    live(at)
    await at.pass('journal')
    await expectSame(at)
    const lists = () => at.simulator.counters().byCall['GET /crm/objects/2026-09/companies']
    const before = lists()
    await at.pass('journal')
    expect(lists()).toBe(before)
  })

  it('an address that has expired is asked for anew', async () => {
    await using at = await setUpLively({ journal })
    await at.pass('journal')
    await loadAll(at)
    live(at)
    at.simulator.faults.add({ kind: 'status', status: 403, match: '/journal-files' })
    await expect(at.pass('journal')).rejects.toMatchObject({ code: 'HUBSPOT_JOURNAL_EXPIRED' })
    await at.pass('journal')
    await expectSame(at)
  })
})
