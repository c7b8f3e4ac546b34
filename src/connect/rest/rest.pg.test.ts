/** Declared feeds, lookups, batches and conditional requests, against a small source over HTTP and a real database. */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { crm, domains, openRegister, units } from '../../../test/support/rest-register.ts'
import { readContext } from '../context.ts'

describe('a change feed', () => {
  test('is read from where it was left; what it names is read once as it is now, what is gone is deleted', async () => {
    const register = new Map([
      ['1', { nr: 1, name: 'One' }],
      ['2', { nr: 2, name: 'Two' }],
    ])
    let feed = [1, 2, 1].map((nr, at) => ({ id: at + 1, nr, gone: false }))
    await using at = await openRegister(
      {
        table: units,
        feed: {
          path: '/updates',
          query: (position, sinceMs) => (position === null ? { since: sinceMs } : { after: position }),
          items: 'updates',
          id: 'nr',
          position: 'id',
          deleted: 'gone',
        },
        one: { path: (id) => `/units/${id}` },
      },
      ({ path, query }) => {
        if (path === '/updates')
          return { body: { updates: feed.filter(({ id }) => id > Number(query.after ?? 0)).slice(0, 2) } }
        const unit = register.get(path.split('/')[2] ?? '')
        return unit === undefined ? { status: 404 } : { body: unit }
      },
    )
    expect(await at.pass()).toEqual(['/updates', '/units/1', '/units/2', '/updates', '/units/1', '/updates'])
    expect(await at.rows('select nr, name from reg.units order by nr')).toEqual([
      { nr: 1n, name: 'One' },
      { nr: 2n, name: 'Two' },
    ])
    expect(await at.pass()).toEqual(['/updates'])
    register.delete('1')
    feed = [...feed, { id: 4, nr: 1, gone: false }, { id: 5, nr: 2, gone: true }]
    expect(await at.pass()).toEqual(['/updates', '/units/1', '/updates'])
    expect(await at.rows('select * from reg.units')).toEqual([])
  })

  test('reads in batches, and halves one that is refused until the record that cannot be answered stands alone', async () => {
    const feed = Array.from({ length: 8 }, (_, at) => ({ id: at + 1, nr: at + 1 }))
    await using at = await openRegister(
      {
        table: units,
        feed: { path: '/updates', query: (position) => ({ after: position }), id: 'nr', position: 'id' },
        many: { batch: 8, request: (ids) => ({ method: 'POST', path: '/batch', body: { ids } }) },
      },
      ({ path, query, body }) => {
        if (path === '/updates') return { body: feed.filter(({ id }) => id > Number(query.after ?? 0)) }
        const { ids } = z.object({ ids: z.array(z.string()) }).parse(body)
        if (ids.includes('5')) return { status: 400 }
        return { body: ids.filter((id) => id !== '3').map((nr) => ({ nr, name: `Unit ${nr}` })) }
      },
    )
    await at.query("insert into reg.units (nr, name) values (3, 'Three')")
    await at.pass()
    const { length } = await at.rows("select from reg.units where name like 'Unit %'")
    expect([length, await at.rows('select nr from reg.units where nr in (3, 5)')]).toEqual([6, []])
    expect(await at.rows('select key, code from rescore.reject')).toEqual([{ key: '5', code: 'CONNECT_RECORD_SHAPE' }])
  })
})

describe('a lookup', () => {
  test('asks once for each value of the column, again when the answer is old, and only if it has changed', async () => {
    const known = new Map([['a.example', 'v1']])
    await using at = await openRegister(
      {
        table: domains,
        lookup: {
          table: crm,
          column: 'website',
          key: (value) => (/^\w/.test(value) ? value.replace(/^https?:\/\//, '').toLowerCase() : null),
          path: (key) => `/domain/${key}`,
          freshMs: 1_000,
        },
        conditional: true,
      },
      ({ path, headers }) => {
        const etag = known.get(path.split('/')[2] ?? '')
        if (etag === undefined) return { status: 404 }
        if (headers['if-none-match'] === etag) return { status: 304 }
        return { headers: { etag }, body: { since: etag } }
      },
    )
    await at.query(`create table if not exists reg.crm (id bigint primary key, website text);
      insert into reg.crm values (1, 'https://A.example'), (2, 'a.example'), (3, 'b.example'), (4, '?'), (5, null)`)
    expect((await at.pass()).sort()).toEqual(['/domain/a.example', '/domain/b.example'])
    expect(await at.rows('select * from reg.domains')).toEqual([{ domain: 'a.example', since: 'v1' }])
    expect(await at.pass()).toEqual([])
    await at.query("insert into reg.crm values (6, 'c.example')")
    expect(await at.pass()).toEqual(['/domain/c.example'])
    at.advance(2_000)
    expect((await at.pass()).sort()).toEqual(['/domain/a.example if changed', '/domain/b.example', '/domain/c.example'])
    known.set('a.example', 'v2')
    at.advance(2_000)
    await at.pass()
    expect(await at.rows('select since from reg.domains')).toEqual([{ since: 'v2' }])
    known.clear()
    at.advance(2_000)
    await at.pass()
    expect(await at.rows('select * from reg.domains')).toEqual([])
  })
})

test('a lookup keeps what the source knows nothing of, takes only records that are meant, and sets refusals aside', async () => {
  await using at = await openRegister(
    {
      table: domains,
      lookup: {
        table: crm,
        column: 'website',
        path: (key) => `/site/${key}`,
        item: (body, key) => (z.object({ of: z.string() }).parse(body).of === key ? body : null),
        absent: () => ({ since: 'nobody knows' }),
        freshMs: 1_000,
      },
    },
    ({ path }) => {
      const name = path.split('/')[2] ?? ''
      if (name === 'refused') return { status: 422 }
      return name === 'absent' ? { status: 404 } : { body: { of: name === 'taken' ? 'other' : name, since: 'v1' } }
    },
  )
  await at.query(`create table if not exists reg.crm (id bigint primary key, website text);
    insert into reg.crm values (1, 'own'), (2, 'absent'), (3, 'taken'), (4, 'refused')`)
  await at.pass()
  expect(await at.rows('select domain, since from reg.domains order by domain')).toEqual([
    { domain: 'absent', since: 'nobody knows' },
    { domain: 'own', since: 'v1' },
    { domain: 'taken', since: 'nobody knows' },
  ])
  expect(await at.rows('select key from rescore.reject')).toEqual([{ key: 'refused' }])
})

describe('a list', () => {
  test('of one page is read again only when its ETag says so, and nothing is taken for gone by a "not changed"', async () => {
    let version = 1
    await using at = await openRegister(
      { table: units, list: { path: '/all' }, sweep: { everyMs: 0 }, conditional: true },
      ({ headers }) => {
        if (headers['if-none-match'] === `"${version}"`) return { status: 304 }
        const body = Array.from({ length: 4 - version }, (_, nr) => ({ nr, name: `v${version}` }))
        return { headers: { etag: `"${version}"` }, body }
      },
    )
    expect(await at.pass()).toEqual(['/all'])
    expect(await at.pass()).toEqual(['/all if changed'])
    expect((await at.rows('select nr from reg.units')).length).toBe(3)
    version = 2
    expect(await at.pass()).toEqual(['/all if changed'])
    expect(await at.rows('select nr, name from reg.units order by nr')).toEqual([
      { nr: 0n, name: 'v2' },
      { nr: 1n, name: 'v2' },
    ])
  })

  test('that has suddenly become short deletes nothing and says so; as much as may go, goes', async () => {
    let listed = 100
    await using at = await openRegister(
      { table: units, list: { path: '/all' }, sweep: { everyMs: 0, mayRemove: 0.3 } },
      () => ({
        body: Array.from({ length: listed }, (_, nr) => ({ nr, name: 'x' })),
      }),
    )
    const stored = async () => (await at.rows('select nr from reg.units')).length
    await at.pass()
    for (const short of [0, 69]) {
      listed = short
      await expect(at.pass()).rejects.toMatchObject({ code: 'CONNECT_MASS_REMOVAL', fate: 'retry' })
      expect(await stored()).toBe(100)
    }
    listed = 70
    await at.pass()
    expect(await stored()).toBe(70)
  })

  test('its records can be read by key, as a webhook or a replay asks for them', async () => {
    await using at = await openRegister(
      { table: units, list: { path: '/all', idsOnly: true }, one: { path: (id) => `/units/${id}` } },
      ({ path }) =>
        path === '/all' ? { body: [1, 2] } : path === '/units/2' ? { status: 410 } : { body: { nr: 1, name: 'One' } },
    )
    expect(await at.pass()).toEqual(['/all', '/units/1', '/units/2'])
    const found = []
    const context = readContext(at.run, at.book, 'units', 'on-demand')
    for await (const message of at.stream.read?.(context, [{ nr: 1n }, { nr: '2' }]) ?? []) found.push(message)
    expect(found).toMatchObject([
      { op: 'upsert', row: { nr: 1, name: 'One' } },
      { op: 'delete', key: { nr: '2' }, reason: 'gone' },
    ])
  })
})
