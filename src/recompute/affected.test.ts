import { expect, test } from 'vitest'
import { deals, graph } from '../../test/recompute/crm.ts'
import { batchOf, change } from '../../test/recompute/harness.ts'
import { plant } from '../faults.ts'
import type { Change } from '../log/log.ts'
import { planAffected } from './affected.ts'

const node = graph.entities.get('company')

function namesOf(bits: bigint): readonly string[] {
  return (node?.features ?? [])
    .filter(({ bit }) => ((bits >> BigInt(bit)) & 1n) === 1n)
    .map(({ feature }) => feature.name)
}

function affectedBy(...changes: Change[]): Readonly<Record<string, readonly string[]>> {
  const found = planAffected(graph, batchOf(changes))?.affected.get('company') ?? new Map<string, { bits: bigint }>()
  return Object.fromEntries([...found].map(([key, { bits }]) => [key, namesOf(bits)]))
}

const deal = { id: '1', company_id: '7', n: '1', word: 'a', yes: 't', num: '3', at: null, day: null, flo: null }

test('a column wakes exactly the features that read it', () => {
  expect(affectedBy(change('app.companies', 'update', { id: '1', word: 'a' }, { id: '1', word: 'b' }))).toEqual({
    1: ['own_word'],
  })
  expect(affectedBy(change('app.companies', 'update', { id: '1', n: '1' }, { id: '1', n: '2' }))).toEqual({
    1: ['own_n', 'per_deal'],
  })
})

test('a table or a column nobody reads wakes nobody', () => {
  expect(planAffected(graph, batchOf([change('app.elsewhere', 'insert', null, { id: '1' })]))).toBeNull()
  expect(
    planAffected(graph, batchOf([change('app.notes', 'update', { id: '1', x: '1' }, { id: '1', x: '2' })])),
  ).toBeNull()
})

test('a new and a removed entity need all their features', () => {
  const all = node?.features.map(({ feature }) => feature.name)
  expect(affectedBy(change('app.companies', 'insert', null, { id: '1' }))['1']).toEqual(all)
  expect(affectedBy(change('app.companies', 'delete', { id: '1' }, null))['1']).toEqual(all)
})

test('a moved child touches its old and its new parent; with the bug planted only the new', () => {
  const move = () => change('app.deals', 'update', deal, { ...deal, company_id: '8' })
  expect(Object.keys(affectedBy(move())).sort()).toEqual(['7', '8'])
  using _ = plant('old-parent-forgotten')
  expect(Object.keys(affectedBy(move()))).toEqual(['8'])
})

test('a row that satisfies a filter neither before nor after feeds nothing through it', () => {
  const lost = { ...deal, yes: 'f' }
  const found = affectedBy(change('app.deals', 'update', lost, { ...lost, flo: '2' }))['7']
  expect(found).toContain('deals_sum_flo')
  expect(found).not.toContain('deals_sum_flo_yes')
  expect(affectedBy(change('app.deals', 'update', lost, { ...deal, flo: '2' }))['7']).toContain('deals_sum_flo_yes')
})

test('what is not known counts as changed', () => {
  const blind: Change = { ...change('app.deals', 'update', null, deal), changed: null }
  const counted = node?.features
    .filter(({ feature }) => feature.name.startsWith('deals_'))
    .map(({ feature }) => feature.name)
  expect(affectedBy(blind)['7']).toEqual(expect.arrayContaining(counted ?? []))
})

test('where the log no longer holds old rows, everything that reads the table is stale, because a row may have moved', () => {
  const stale = (found: Change) => planAffected(graph, batchOf([found]))?.truncated
  expect(stale({ ...change('app.deals', 'update', null, deal), changed: null })).toEqual([deals.id])
  expect(stale(change('app.deals', 'delete', { id: '1' }, null))).toEqual([deals.id])
  expect(stale(change('app.deals', 'delete', deal, null))).toEqual([])
  // The key leads on by itself, and an old one is always there.
  expect(stale({ ...change('app.companies', 'update', null, { id: '1', n: '2' }), changed: null })).toEqual([])
})

test('both ends of an association are marked, and rows further off are left as traces', () => {
  const link = { company_id: '1', contact_id: 'x', label: 'boss' }
  const found = affectedBy(change('app.company_contacts', 'update', link, { ...link, company_id: '2' }))
  expect(Object.keys(found).sort()).toEqual(['1', '2'])
  const plan = planAffected(
    graph,
    batchOf([change('app.contacts', 'update', { id: 'x', n: '1' }, { id: 'x', n: '2' })]),
  )
  expect(plan?.affected.size).toBe(0)
  expect(plan?.traces.map(({ hop, keys }) => [hop, [...keys]])).toEqual([
    [1, ['x']],
    [2, ['x']],
  ])
})

test('a truncated table is told as such', () => {
  expect(planAffected(graph, batchOf([change(deals.id, 'truncate', null, null)]))?.truncated).toEqual([deals.id])
})

test('causes are kept once each, the newest change gives the time, long texts are cut without breaking a character', () => {
  const long = `${'x'.repeat(199)}😀`
  const [first, second] = [
    change('app.companies', 'update', { id: '1', word: 'a' }, { id: '1', word: long }),
    change('app.companies', 'update', { id: '1', n: '1' }, { id: '1', n: '2' }),
  ]
  const dirty = planAffected(graph, batchOf([first, second]))
    ?.affected.get('company')
    ?.get('1')
  expect(dirty).toMatchObject({ causeCount: 2, newestCauseMs: second.committedAtMs, newestLsn: second.position.lsn })
  const causes = (dirty?.causes ?? []).filter((cause) => cause.op !== 'time')
  expect(causes.map(({ column, from }) => [column, from])).toEqual([
    ['word', 'a'],
    ['n', '1'],
  ])
  expect(causes[0]?.to?.isWellFormed()).toBe(true)
})
