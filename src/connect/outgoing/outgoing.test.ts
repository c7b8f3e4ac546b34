import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { expect, test } from 'vitest'
import { allowListOf, refusalOf } from './address.ts'
import { createGuard, type Resolver } from './guard.ts'
import { createOutgoing, type OutgoingOptions } from './request.ts'

const guard = createGuard({ where: 'the allow list' })

test.each([
  'https://127.0.0.1/',
  'https://127.1/',
  'https://2130706433/',
  'https://0x7f000001/',
  'https://0177.0.0.1/',
  'https://0/',
  'https://0.0.0.0/',
  'https://10.0.0.8/',
  'https://172.16.0.1/',
  'https://172.31.255.255/',
  'https://192.168.1.1/',
  'https://169.254.169.254/latest/meta-data',
  'https://100.64.0.1/',
  'https://100.100.100.200/',
  'https://168.63.129.16/',
  'https://192.0.0.192/',
  'https://198.18.0.1/',
  'https://203.0.113.9/',
  'https://224.0.0.1/',
  'https://255.255.255.255/',
  'https://[::]/',
  'https://[::1]/',
  'https://[0:0:0:0:0:0:0:1]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[::ffff:7f00:1]/',
  'https://[::ffff:0:169.254.169.254]/',
  'https://[::10.0.0.1]/',
  'https://[64:ff9b::127.0.0.1]/',
  'https://[64:ff9b::a9fe:a9fe]/',
  'https://[64:ff9b:1::10.0.0.1]/',
  'https://[2002:7f00:1::]/',
  'https://[2001:0:7f00:1::]/',
  'https://[2001:0:808:808::80ff:fffe]/',
  'https://[fc00::1]/',
  'https://[fd00:ec2::254]/',
  'https://[fe80::1]/',
  'https://[fec0::1]/',
  'https://[ff02::1]/',
  'https://[2001:db8::1]/',
  'https://[4000::1]/',
  'http://hooks.example.com/',
  'https://user:pass@hooks.example.com/',
  'https://hooks.example.com:22/',
  'ftp://hooks.example.com/',
  'file:///etc/passwd',
])('%s is refused before anything is asked', (url) => {
  expect(() => guard.found(new URL(url))).toThrow(expect.objectContaining({ code: 'CONNECT_ADDRESS_REFUSED' }))
  // What a project writes down itself may name its port, and nothing else of it.
  if (url.endsWith(':22/')) guard.declared(new URL(url))
  else expect(() => guard.declared(new URL(url))).toThrow(expect.objectContaining({ code: 'CONNECT_ADDRESS_REFUSED' }))
})

test.each(['http://127.0.0.1:3000/', 'http://127.9.9.9/', 'http://[::1]:3000/', 'http://localhost:3000/'])(
  '%s may be the base URL of a connector, and nothing it is sent to',
  (url) => {
    const connectors = createGuard({ where: 'http.allow', mayBeThisMachine: true })
    expect(connectors.declared(new URL(url))).toBeTypeOf('function')
    expect(() => connectors.found(new URL(url))).toThrow(expect.objectContaining({ code: 'CONNECT_ADDRESS_REFUSED' }))
  },
)

test.each([
  'http://10.0.0.8/',
  'http://169.254.169.254/',
  'http://localhost.example.com/',
  'http://[::ffff:127.0.0.1]/',
  'http://0.0.0.0/',
])('%s is no way to say this machine', (url) => {
  const connectors = createGuard({ where: 'http.allow', mayBeThisMachine: true })
  expect(() => connectors.declared(new URL(url))).toThrow(expect.objectContaining({ code: 'CONNECT_ADDRESS_REFUSED' }))
})

test('what is no URL is refused', async () => {
  await expect(get({}, 'hooks.example.com')).rejects.toMatchObject({ code: 'CONNECT_ADDRESS_REFUSED' })
})

test.each([
  ['93.184.215.14', null],
  ['8.8.8.8', null],
  ['172.32.0.1', null],
  ['172.15.255.255', null],
  ['2606:4700::1111', null],
  ['::ffff:8.8.8.8', null],
  ['64:ff9b::8.8.8.8', null],
  ['2002:808:808::1', null],
])('%s is public', (address, expected) => {
  expect(refusalOf(address)).toBe(expected)
})

test.each(['nonsense', '', '1.2.3', '::g'])('%s is no address', (address) => {
  expect(refusalOf(address)).toBe('not an address')
})

test('the allow list takes names, addresses and networks, and nothing beside them', () => {
  const allow = allowListOf(['hooks.internal', '10.1.0.0/16', 'fd00::/8', '192.168.1.9'])
  expect(['hooks.internal', 'HOOKS.internal'].map((host) => allow.allowsHost(host))).toEqual([true, true])
  expect(['x.hooks.internal', 'hooks.internal.evil.com'].map((host) => allow.allowsHost(host))).toEqual([false, false])
  expect(['10.1.2.3', 'fd12::1', '192.168.1.9'].map((address) => allow.allowsAddress(address))).toEqual([
    true,
    true,
    true,
  ])
  expect(['10.2.0.1', 'fe80::1', '192.168.1.8'].map((address) => allow.allowsAddress(address))).toEqual([
    false,
    false,
    false,
  ])
  expect(() => allowListOf(['10.0.0.0/33'])).toThrow(TypeError)
  expect(() => allowListOf(['https://x'])).toThrow(TypeError)
})

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

/** A resolver that answers from a list, one after the other: how a name rebinds. */
function answering(...answers: readonly string[]): { resolver: Resolver; asked: () => number } {
  let asked = 0
  const resolver: Resolver = (_, __, callback) => {
    const address = answers[Math.min(asked, answers.length - 1)] ?? ''
    asked += 1
    callback(null, [{ address, family: address.includes(':') ? 6 : 4 }])
  }
  return { resolver, asked: () => asked }
}

const get = (options: OutgoingOptions, url: string) =>
  createOutgoing(options)({ method: 'GET', url, headers: {}, signal: AbortSignal.timeout(20_000) })

test('a name that leads inside is refused at the moment of connecting, and nothing is connected to', async () => {
  await using server = await serve((_, response) => response.end('inside'))
  for (const inside of ['127.0.0.1', '::ffff:127.0.0.1', '169.254.169.254', '10.0.0.1']) {
    const { resolver, asked } = answering(inside)
    const url = `https://rebinding.example.com:${server.port}/`
    await expect(get({ resolver }, url)).rejects.toMatchObject({
      code: 'CONNECT_ADDRESS_REFUSED',
    })
    expect(asked()).toBe(1)
  }
  expect(server.connections()).toBe(0)
})

test('a name is resolved once, and what was judged is what is connected to', async () => {
  await using server = await serve((_, response) => response.end('inside'))
  // First a public answer (of a network without hosts: the call fails or times out), then, had it been asked again, ours.
  const { resolver, asked } = answering('93.184.215.14', '127.0.0.1')
  const url = `https://rebinding.example.com:${server.port}/`
  await expect(get({ resolver, timeoutMs: 300 }, url)).rejects.toThrow()
  expect([asked(), server.connections()]).toEqual([1, 0])
})

test('a redirect is an answer like any other and leads nowhere', async () => {
  let asked = 0
  await using server = await serve((_, response) => {
    asked += 1
    response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end()
  })
  const answer = await get({ allow: ['127.0.0.1'] }, `http://127.0.0.1:${server.port}/`)
  expect([answer.status, asked]).toEqual([302, 1])
})

test('time and bytes of an answer are bounded', async () => {
  await using server = await serve((request, response) => {
    if (request.url === '/endless') {
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
        response.once('drain', more)
      }
      more()
    }
  })
  const allow = ['127.0.0.1']
  const at = `http://127.0.0.1:${server.port}`
  expect((await get({ allow, maxAnswerBytes: 1_000 }, `${at}/endless`)).text).toHaveLength(1_000)
  await expect(get({ allow, timeoutMs: 100 }, `${at}/silent`)).rejects.toMatchObject({ code: 'CONNECT_TIMEOUT' })
})

test('a host on the allow list is reached over plain http by name and by address', async () => {
  await using server = await serve((_, response) => response.end('hello'))
  const { resolver } = answering('127.0.0.1')
  const byName = await get({ allow: ['hooks.internal'], resolver }, `http://hooks.internal:${server.port}/`)
  const byNetwork = await get({ allow: ['127.0.0.0/8'] }, `http://127.0.0.1:${server.port}/`)
  expect([byName.text, byNetwork.text]).toEqual(['hello', 'hello'])
})
