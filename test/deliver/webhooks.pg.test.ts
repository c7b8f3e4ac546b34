import { expect, test } from 'vitest'
import { readAwake } from '../../src/connect/hooks/wakes.ts'
import { streamOf } from '../../src/connect/streams.ts'
import { rowsOf, SMALL_TABLES, T0 } from '../support/hubspot.ts'
import { changed, listening, PUBLIC, post, v1, v3 } from './listening.ts'

test('genuine events are committed before the answer, once each, and a record is woken once', async () => {
  await using at = await listening()
  const body = JSON.stringify([changed(1), changed(1, { propertyName: 'domain' }), changed(2)])
  expect(await post(at, body, v3(body))).toBe(204)
  expect(await at.awake()).toEqual(['companies 1', 'companies 2'])
  await at.hubspot.db.query('delete from rescore.wake_up')
  // Replayed whole, and repeated by HubSpot with another attempt: taken, and nobody is woken.
  expect(await post(at, body, v3(body))).toBe(204)
  const again = JSON.stringify([changed(1, { attemptNumber: 1 })])
  expect(await post(at, again, v3(again, { atMs: T0 + 1_000 }))).toBe(204)
  expect(await at.awake()).toEqual([])
})

test('what cannot be committed is not answered 2xx, and is taken when it comes again', async () => {
  await using at = await listening()
  const body = JSON.stringify([changed(1)])
  at.failing = true
  expect(await post(at, body, v3(body))).toBe(503)
  at.failing = false
  expect(await post(at, body, v3(body))).toBe(204)
  expect(await at.awake()).toEqual(['companies 1'])
})

const BODY = JSON.stringify([changed(1)])
const REFUSED: readonly [string, number, string, Record<string, string>, string?][] = [
  ['a changed byte', 401, BODY.replace('c1', 'c2'), v3(BODY)],
  ['a body serialised anew', 401, JSON.stringify(JSON.parse(BODY), null, 1), v3(BODY)],
  ['one 301 s old', 401, BODY, v3(BODY, { atMs: T0 - 301_000 })],
  ['one from 301 s ahead', 401, BODY, v3(BODY, { atMs: T0 + 301_000 })],
  [
    'an old one with its time made new',
    401,
    BODY,
    { ...v3(BODY, { atMs: T0 - 301_000 }), 'x-hubspot-request-timestamp': String(T0) },
  ],
  ['one signed for another host', 401, BODY, v3(BODY, { url: 'https://evil.example.com/hubspot' })],
  [
    'one signed for another host, which the call says it came to',
    401,
    BODY,
    {
      ...v3(BODY, { url: 'https://evil.example.com/hubspot' }),
      'x-forwarded-host': 'evil.example.com',
      'x-forwarded-proto': 'https',
      forwarded: 'host=evil.example.com;proto=https',
    },
  ],
  ['one signed for the host behind the proxy', 401, BODY, v3(BODY, { url: 'http://127.0.0.1/hubspot' })],
  ['one with a query that was not signed', 401, BODY, v3(BODY), '/hubspot?x=1'],
  ['another secret', 401, BODY, v3(BODY, { secret: 'another' })],
  ['version 1 where it is not asked for', 401, BODY, v1(BODY)],
  ['no signature', 401, BODY, {}],
  ['no time', 401, BODY, { 'x-hubspot-signature-v3': v3(BODY)['x-hubspot-signature-v3'] ?? '' }],
  ['another path', 404, BODY, v3(BODY), '/other'],
  ['genuine nonsense', 400, '{"no":"list"}', v3('{"no":"list"}')],
]

test('each kind of bad one is refused as it should be, and the database is not asked', async () => {
  await using at = await listening()
  const got: [string, number][] = []
  for (const [what, , body, headers, path] of REFUSED) got.push([what, await post(at, body, headers, path)])
  expect(got).toEqual(REFUSED.map(([what, status]) => [what, status]))
  expect([at.statements, await at.awake(), at.server.heldBytes]).toEqual([0, [], 0])
})

test('299 s is young enough; a signed query and its decoded characters are as HubSpot signs them', async () => {
  await using at = await listening()
  expect(await post(at, BODY, v3(BODY, { atMs: T0 - 299_000 }))).toBe(204)
  const other = JSON.stringify([changed(2)])
  expect(await post(at, other, v3(other, { url: `${PUBLIC}?to=a:b/c` }), '/hubspot?to=a%3Ab%2Fc')).toBe(204)
  expect(await at.awake()).toEqual(['companies 1', 'companies 2'])
})

test('version 1 where it is asked for, and never in place of a version 3 that is wrong', async () => {
  await using at = await listening({ acceptV1: true })
  expect(await post(at, BODY, { ...v1(BODY), ...v3(BODY, { secret: 'another' }) })).toBe(401)
  expect(await post(at, BODY, { ...v1(BODY), 'x-hubspot-signature-v3': '' })).toBe(401)
  expect(await post(at, BODY, { ...v1(BODY), 'x-hubspot-signature-version': 'v2' })).toBe(401)
  expect(await post(at, BODY.replace('c1', 'c2'), v1(BODY))).toBe(401)
  expect(await post(at, BODY, v1(BODY))).toBe(204)
  expect(await at.awake()).toEqual(['companies 1'])
})

test('records of every kind of event are woken: merged, deleted, associated, of a type by its id', async () => {
  await using at = await listening()
  const body = JSON.stringify([
    { subscriptionType: 'company.merge', primaryObjectId: 1, mergedObjectIds: [2, 3], newObjectId: 4, eventId: 1 },
    { subscriptionType: 'contact.privacyDeletion', objectId: 5, eventId: 2 },
    { subscriptionType: 'object.deletion', objectTypeId: '0-3', objectId: 6, eventId: 3 },
    {
      subscriptionType: 'company.associationChange',
      fromObjectId: 7,
      toObjectId: 8,
      associationType: 'COMPANY_TO_CONTACT',
      eventId: 4,
    },
    { subscriptionType: 'ticket.creation', objectId: 9, eventId: 5 },
  ])
  expect(await post(at, body, v3(body))).toBe(204)
  expect(await at.awake()).toEqual([
    ...[1, 2, 3, 4, 7].map((id) => `companies ${id}`),
    'contacts 5',
    'contacts 8',
    'deals 6',
  ])
})

test('what is awake is read by id and landed; what is woken again meanwhile stays awake', async () => {
  await using at = await listening()
  const { portal, connector, run, book, db } = at.hubspot
  const first = portal.create('companies', { name: 'one' })
  const second = portal.create('companies', { name: 'two' })
  portal.archive('companies', second.id)
  await db.query(`insert into hubspot.companies (id, name) values (${second.id}, 'two')`)
  const body = JSON.stringify([changed(first.id), changed(second.id)])
  await post(at, body, v3(body))
  const stream = connector.streams.map(streamOf).find(({ name }) => name === 'companies')
  if (stream === undefined) throw new Error('no stream of companies')
  const again = async () => {
    const later = JSON.stringify([changed(first.id, { eventId: 99 })])
    await post(at, later, v3(later))
  }
  expect(await readAwake({ ...run, faults: { afterLand: again } }, stream, book)).toMatchObject({ read: 2, written: 2 })
  expect((await rowsOf(at.hubspot, SMALL_TABLES.companies)).map(({ name }) => name)).toEqual(['one'])
  expect(await at.awake()).toEqual([`companies ${first.id}`])
  expect(await readAwake(run, stream, book)).toMatchObject({ read: 1, written: 0 })
  expect(await readAwake(run, stream, book)).toBeNull()
})

test('an event of what we wrote ourselves wakes nobody and is counted; one of another value does', async () => {
  await using at = await listening()
  await at.hubspot.db.query(`insert into rescore.delivery_destination (name, entity, hash) values ('hubspot', 'company', 'x');
    insert into rescore.delivery (destination, key, mark, sent, pending)
    values ('hubspot', '1', 1, '{"growth_label": "high", "growth_probability": 0.75}', '{"growth_label": "low"}')`)
  const ours = (propertyName: string, propertyValue: string) => changed(1, { propertyName, propertyValue })
  const body = JSON.stringify([
    ours('growth_label', 'high'),
    ours('growth_label', 'low'),
    ours('growth_probability', '0.75'),
  ])
  await post(at, body, v3(body))
  expect(await at.awake()).toEqual([])
  const { rows } = await at.hubspot.db.query('select echoes::int from rescore.delivery_destination')
  expect(rows).toEqual([{ echoes: 3 }])
  const theirs = JSON.stringify([ours('growth_label', 'by hand')])
  await post(at, theirs, v3(theirs))
  expect(await at.awake()).toEqual(['companies 1'])
})
