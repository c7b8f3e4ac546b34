/**
 * Nothing is lost: not to a search index that lags, not to bulk edits that stamp more records with one millisecond than
 * a search will page through, not to a broken wire. The usual way of reading HubSpot runs beside ours and does lose.
 */
import { describe, expect, it } from 'vitest'
import { runPass } from '../../src/connect/pass.ts'
import { type Portal, randomFrom, type Simulator } from '../../test/simulator/index.ts'
import { eventually } from '../../test/support/eventually.ts'
import { expectedRows, rowsOf, SMALL_TABLES, setUpHubspot } from '../../test/support/hubspot.ts'

const COUNT = 10_500

function fill(portal: Portal, count: number): void {
  for (let id = 1; id <= count; id += 1) {
    portal.create('companies', { name: `Company ${id}`, numberofemployees: id }, { id })
  }
}

interface SearchPage {
  readonly results?: readonly { readonly id: string; readonly properties: Readonly<Record<string, string | null>> }[]
  readonly paging?: { readonly next: { readonly after: string } }
}

/**
 * As public templates do it: everything modified after the newest modification seen, sorted by modification, page after
 * page by offset; when a run fails the next one starts from what it has seen.
 */
class NaiveReader {
  readonly values = new Map<number, string | null>()
  failed = 0
  #newestMs = 0
  readonly #simulator: Simulator

  constructor(simulator: Simulator) {
    this.#simulator = simulator
  }

  async poll(): Promise<void> {
    const { url, token } = this.#simulator
    let after: string | undefined
    const sinceMs = this.#newestMs
    do {
      const response = await fetch(`${url}/crm/objects/2026-09/companies/search`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify({
          filterGroups: [
            { filters: [{ propertyName: 'hs_lastmodifieddate', operator: 'GT', value: String(sinceMs) }] },
          ],
          sorts: [{ propertyName: 'hs_lastmodifieddate', direction: 'ASCENDING' }],
          properties: ['numberofemployees'],
          limit: 200,
          after,
        }),
      })
      const page: SearchPage = JSON.parse(await response.text())
      if (!response.ok) {
        this.failed += 1
        return
      }
      for (const { id, properties } of page.results ?? []) {
        this.values.set(Number(id), properties.numberofemployees ?? null)
        this.#newestMs = Math.max(this.#newestMs, Date.parse(properties.hs_lastmodifieddate ?? ''))
      }
      after = page.paging?.next.after
    } while (after !== undefined)
  }
}

describe('a portal whose search index lags, with a bulk edit of more than 10,000 records in one millisecond', () => {
  it('is read without loss, where reading by offset over modification times loses rows', async () => {
    await using at = await setUpHubspot({ indexLag: { min: 1_000, max: 55_000, mean: 8_000 } })
    const { portal, clock } = at
    fill(portal, COUNT)
    clock.advance(600_000)
    const naive = new NaiveReader(at.simulator)
    await at.pass('companies')
    const random = randomFrom('edits')
    for (let step = 0; step < 14; step += 1) {
      clock.advance(1_000)
      if (step === 5) {
        for (let id = 1; id <= COUNT; id += 1) portal.edit('companies', id, { numberofemployees: 100_000 + id })
      }
      for (let edits = 0; edits < 40; edits += 1) {
        clock.advance(random.whole(0, 700))
        portal.edit('companies', random.whole(1, COUNT), { numberofemployees: random.whole(1, 90_000) })
        // Now and then the readers look while the edits go on.
        if (edits % 20 === 19) await Promise.all([at.pass('companies'), naive.poll()])
      }
    }
    clock.advance(300_000)
    await Promise.all([at.pass('companies'), naive.poll()])
    expect(await rowsOf(at, SMALL_TABLES.companies)).toStrictEqual(
      expectedRows(portal, 'companies', SMALL_TABLES.companies),
    )
    const stale = [...portal.live('companies')].filter(
      ({ id, properties }) => naive.values.get(id) !== properties.numberofemployees,
    )
    expect(stale.length).toBeGreaterThan(0)
    expect(naive.failed).toBeGreaterThan(0)
  })
})

describe('a broken wire', () => {
  it('costs nothing: refusals, broken pages, cut connections and half bodies', async () => {
    await using at = await setUpHubspot()
    fill(at.portal, 350)
    const list = 'GET /crm/objects'
    at.simulator.faults.add(
      { kind: 'status', status: 502, match: list },
      { kind: 'half-body', match: list, skip: 1 },
      { kind: 'html', match: list },
      { kind: 'reset', match: list, skip: 1 },
      { kind: 'slow', delayMs: 20, match: list },
      { kind: 'status', status: 429, policy: 'SECONDLY', match: list },
      { kind: 'status', status: 429, policy: 'TEN_SECONDLY_ROLLING', match: list },
      { kind: 'status', status: 423, match: list },
      { kind: 'status', status: 477, retryAfterS: 30, match: list },
      { kind: 'half-body', match: '/crm/properties' },
    )
    await at.pass('companies')
    expect(at.simulator.faults.pending()).toStrictEqual([])
    at.clock.advance(120_000)
    for (let id = 1; id <= 350; id += 7) at.portal.edit('companies', id, { name: 'Edited' })
    at.clock.advance(120_000)
    at.simulator.faults.add(
      { kind: 'half-body', match: '/search', count: 2 },
      { kind: 'status', status: 504, match: '/batch/read', count: 2 },
      { kind: 'reset', match: '/associations', count: 2 },
    )
    await at.pass('companies')
    expect(at.simulator.faults.pending()).toStrictEqual([])
    expect(await rowsOf(at, SMALL_TABLES.companies)).toStrictEqual(
      expectedRows(at.portal, 'companies', SMALL_TABLES.companies),
    )
    expect(at.warnings.length).toBeGreaterThan(10)
    expect(at.warnings.join('\n')).not.toContain(at.simulator.token)
  })

  it('costs nothing when a third of all calls fail', async () => {
    await using at = await setUpHubspot()
    fill(at.portal, 1_000)
    at.simulator.faults.add(
      { kind: 'status', status: 503, probability: 0.15 },
      { kind: 'half-body', probability: 0.15 },
      { kind: 'reset', probability: 0.1 },
    )
    await at.pass('companies')
    expect(await rowsOf(at, SMALL_TABLES.companies)).toStrictEqual(
      expectedRows(at.portal, 'companies', SMALL_TABLES.companies),
    )
  })

  it('a call that hangs ends, with its connection, when the run is stopped', async () => {
    await using at = await setUpHubspot()
    const stop = new AbortController()
    const [stream] = at.connector.streams
    if (stream === undefined) throw new Error('no stream')
    at.simulator.faults.add({ kind: 'hang' })
    const running = runPass({ ...at.run, signal: stop.signal }, stream, at.book)
    await eventually(() => expect(at.simulator.counters().open).toBe(1))
    stop.abort(new Error('stopped'))
    await expect(running).rejects.toThrow('stopped')
    await eventually(() => expect(at.simulator.counters().open).toBe(0))
  })
})
