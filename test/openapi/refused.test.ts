/** Documents that are none, or cannot be had: refused with the reason, and nothing is written. */
import { once } from 'node:events'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MOST_BYTES, readDocument } from '../../src/cli/openapi/document.ts'
import { planFrom } from '../../src/cli/openapi/from-openapi.ts'
import { createProject } from './project.ts'

const sample = (file: string) => join(import.meta.dirname, file)
const never = new AbortController().signal

test.each([
  ['prose', 'Dear reader, this is not a document.', 'CLI_OPENAPI_UNSUPPORTED'],
  ['a page', '<!doctype html><title>API</title>', 'CLI_OPENAPI_UNREADABLE'],
  ['cut JSON', '{"openapi": "3.0.0", "paths": {', 'CLI_OPENAPI_UNREADABLE'],
  ['YAML that is none', 'a: [1, 2\nb: }', 'CLI_OPENAPI_UNREADABLE'],
  ['nothing', '', 'CLI_OPENAPI_UNSUPPORTED'],
  ['Swagger 2', '{"swagger": "2.0", "paths": {}}', 'CLI_OPENAPI_UNSUPPORTED'],
  [
    'no lists',
    '{"openapi": "3.1.0", "paths": {"/ping": {"get": {"responses": {"200": {"description": "pong"}}}}}}',
    'CLI_OPENAPI_UNSUPPORTED',
  ],
  [
    'references in a circle',
    '{"openapi": "3.0.0", "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}}}}}, "components": {"schemas": {"A": {"allOf": [{"$ref": "#/components/schemas/B"}]}, "B": {"oneOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/B"}]}}}}',
    'CLI_OPENAPI_UNSUPPORTED',
  ],
  [
    'nonsense where objects are meant',
    '{"openapi": "3.0.0", "paths": {"/a": 7, "/b": {"get": []}, "c": null}, "servers": "x", "components": []}',
    'CLI_OPENAPI_UNSUPPORTED',
  ],
])('%s is refused, and nothing is written', async (_, text, code) => {
  await using project = await createProject()
  const file = join(project.folder, 'given')
  await writeFile(file, text)
  expect(await project.begin('acme', '--from', file)).toMatchObject({ code: 1, output: expect.stringContaining(code) })
  expect(await readdir(project.folder)).not.toContain('connectors')
})

test('a document in several files is told how to become one', async () => {
  await using project = await createProject()
  const file = join(project.folder, 'given.yaml')
  await writeFile(file, "openapi: 3.0.0\npaths:\n  /a:\n    $ref: 'paths/a.yml'\n")
  expect((await project.begin('acme', '--from', file)).output).toMatch(/other files \(paths\/a\.yml\).*bundle/)
})

test('aliases that grow without end are refused', async () => {
  await using project = await createProject()
  const grows = 'abcdefghi'.split('').map(
    (name, at, all) =>
      `${name}: &${name} [${Array(9)
        .fill(at === 0 ? 'x' : `*${all[at - 1]}`)
        .join(', ')}]`,
  )
  const file = join(project.folder, 'given.yaml')
  await writeFile(file, grows.join('\n'))
  expect((await project.begin('acme', '--from', file)).output).toContain('CLI_OPENAPI_UNREADABLE')
})

async function serve(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

test('a document is fetched, redirects are followed, and a relative server is that of its address', async () => {
  const text = await readFile(sample('people.yaml'), 'utf8')
  await using server = await serve((request, response) => {
    if (request.url === '/docs/latest') response.writeHead(302, { location: '/docs/people.yaml' }).end()
    else response.end(text)
  })
  const plan = planFrom(await readDocument(`${server.url}/docs/latest`, never), 'acme', [])
  expect(plan).toMatchObject({ baseUrl: `${server.url}/v2`, from: `${server.url}/docs/latest` })
})

test('50 MB are refused before they are read, from a file and from an address', async () => {
  await using project = await createProject()
  const file = join(project.folder, 'large.json')
  {
    await using handle = await open(file, 'w')
    await handle.truncate(50 * 1024 * 1024)
  }
  let sent = 0
  await using server = await serve((_, response) => {
    const more = () => {
      while (sent < 50 * 1024 * 1024 && !response.destroyed) {
        sent += 65_536
        if (!response.write(' '.repeat(65_536))) break
      }
      if (sent < 50 * 1024 * 1024) response.once('drain', more)
      else response.end()
    }
    more()
  })
  for (const from of [file, server.url]) {
    expect(await project.begin('acme', '--from', from)).toMatchObject({
      code: 1,
      output: expect.stringMatching(/CLI_OPENAPI_UNREADABLE.*larger than 24 MB/),
    })
  }
  expect(sent).toBeLessThan(MOST_BYTES * 1.5)
})

test.each([404, 500])('an address that answers %i is told of, as is one where nobody answers', async (status) => {
  await using project = await createProject()
  let url = ''
  {
    await using server = await serve((_, response) => response.writeHead(status).end('no'))
    url = server.url
    const { output } = await project.begin('acme', '--from', url)
    expect(output).toMatch(new RegExp(`CLI_OPENAPI_UNREADABLE.*${status}`))
  }
  expect((await project.begin('acme', '--from', url)).output).toMatch(/CLI_OPENAPI_UNREADABLE.*ECONNREFUSED/)
  expect((await project.begin('acme', '--from', '/nowhere.json')).output).toMatch(/CLI_OPENAPI_UNREADABLE.*ENOENT/)
})
