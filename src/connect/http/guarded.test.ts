/** Nobody a connector speaks to can send it elsewhere inside: redirects, next links, names that lead there, token endpoints. */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { expect, test } from 'vitest'
import type { HttpSettings } from '../../define/index.ts'
import { createGuard, type Resolver } from '../outgoing/guard.ts'
import { readPages } from '../rest/paging.ts'
import { attemptHttp } from './client.ts'
import { Redactor } from './redact.ts'
import { createTransport } from './transport.ts'

async function serve(listener: RequestListener) {
  let connections = 0
  const server = createServer(listener).on('connection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const leadsTo =
  (address: string): Resolver =>
  (_, __, callback) =>
    callback(null, [{ address, family: address.includes(':') ? 6 : 4 }])

function ask(settings: HttpSettings, path: string, resolver: Resolver = leadsTo('192.0.2.1')) {
  const guard = createGuard({ allow: settings.allow ?? [], mayBeThisMachine: true, where: 'http.allow', resolver })
  const environment = { transport: createTransport(), redactor: new Redactor(), now: Date.now, guard }
  return attemptHttp(settings, { path }, environment, AbortSignal.timeout(20_000))
}

const REFUSED = { code: 'CONNECT_ADDRESS_REFUSED', kind: 'config' }

test('a redirect leads to no address inside, not even of this machine', async () => {
  await using inside = await serve((_, response) => response.end('{}'))
  const targets = [
    `http://127.0.0.1:${inside.port}/`,
    `https://127.0.0.1:${inside.port}/`,
    `https://2130706433:${inside.port}/`,
    `https://[::ffff:127.0.0.1]:${inside.port}/`,
    `http://localhost:${inside.port}/`,
    'http://169.254.169.254/latest/meta-data',
    'https://169.254.169.254/latest/meta-data',
    'https://inside.example.com/',
    'http://public.example.com/',
    'https://public.example.com:8443/',
    'ftp://public.example.com/',
    'file:///etc/passwd',
  ]
  for (const location of targets) {
    await using server = await serve((_, response) => response.writeHead(302, { location }).end())
    const call = ask({ baseUrl: `http://127.0.0.1:${server.port}` }, '/', leadsTo('10.0.0.1'))
    await expect(call, location).rejects.toMatchObject(REFUSED)
  }
  expect(inside.connections()).toBe(0)
})

test('a redirect on the same origin is followed, one to a host on the allow list too', async () => {
  await using other = await serve((_, response) => response.end('{"other":true}'))
  await using server = await serve((request, response) => {
    const location = request.url === '/' ? '/own' : `http://crm.internal:${other.port}/`
    if (request.url === '/own') response.end('{"own":true}')
    else response.writeHead(302, { location }).end()
  })
  const settings = { baseUrl: `http://127.0.0.1:${server.port}`, allow: ['crm.internal'] }
  expect((await ask(settings, '/')).value.body).toEqual({ own: true })
  expect((await ask(settings, '/away', leadsTo('127.0.0.1'))).value.body).toEqual({ other: true })
})

test('a next link leads to no address inside, and one that is relative is found from where it stood', async () => {
  const links: string[] = []
  await using server = await serve((request, response) => {
    links.push(request.url ?? '')
    const next = request.url === '/v2/people' ? '/v2/people?page=2' : 'http://169.254.169.254/latest/meta-data'
    response.end(JSON.stringify({ items: [1], next }))
  })
  const settings = { baseUrl: `http://127.0.0.1:${server.port}/v2` }
  const pages = readPages(
    {
      paging: { by: 'link', next: 'next' },
      items: 'items',
      keyField: 'id',
      call: async (_, path = '/people') => (await ask(settings, path)).value,
      open: () => Promise.reject(new Error('A list in pages is not opened.')),
    },
    null,
  )
  const readAll = async () => {
    for await (const _ of pages);
  }
  await expect(readAll()).rejects.toMatchObject(REFUSED)
  expect(links).toEqual(['/v2/people', '/v2/people?page=2'])
})

test.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', '169.254.169.254', '10.0.0.1', 'fd00::1', '64:ff9b::7f00:1'])(
  'a base URL whose name leads to %s is refused at the moment of connecting, unless it is allowed',
  async (address) => {
    await using server = await serve((_, response) => response.end('{"inside":true}'))
    const baseUrl = `https://crm.example.com:${server.port}`
    await expect(ask({ baseUrl }, '/', leadsTo(address))).rejects.toMatchObject(REFUSED)
    expect(server.connections()).toBe(0)
    if (address !== '127.0.0.1') return
    const allowed = { baseUrl: `http://crm.example.com:${server.port}`, allow: ['crm.example.com'] }
    expect((await ask(allowed, '/', leadsTo(address))).value.body).toEqual({ inside: true })
  },
)

test('a localhost that is not this machine is refused', async () => {
  await expect(ask({ baseUrl: 'http://localhost:1' }, '/', leadsTo('10.0.0.1'))).rejects.toMatchObject(REFUSED)
})

test('a token endpoint is held to the same', async () => {
  const auth = { kind: 'oauth', clientId: 'a', clientSecret: 'secret' } as const
  for (const tokenUrl of ['http://169.254.169.254/token', 'https://login.example.com/token']) {
    const settings = { baseUrl: 'http://127.0.0.1:1', auth: { ...auth, tokenUrl } }
    await expect(ask(settings, '/', leadsTo('10.0.0.1'))).rejects.toMatchObject(REFUSED)
  }
})
