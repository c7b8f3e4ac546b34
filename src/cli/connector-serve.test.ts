/** `rescore connector serve`: the fixture lives on the time of now, changes, and ends with the command. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { run } from './main.ts'

const acme = resolve(import.meta.dirname, '../../test/conformance')
afterEach(() => vi.restoreAllMocks())

test('serves, changes records as of now, and is gone after Ctrl-C', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-serve-'))
  const file = join(folder, 'acme.conformance.ts')
  await writeFile(
    file,
    `import { acmeSecretFixture } from '${acme}/acme.ts'
     export default { name: 'acme', fixture: acmeSecretFixture, connector: () => undefined }`,
  )
  let output = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text)
    return true
  })
  const stop = new AbortController()
  const started = Date.now()
  const served = run(['connector', 'serve', file, '--change-every', '10ms', '--json'], stop.signal)
  try {
    await eventually(() => expect(() => JSON.parse(output)).not.toThrow())
    const { url, secret } = JSON.parse(output)
    const changed = async () => {
      const since = new Date(started).toISOString()
      const headers = { authorization: `Bearer ${secret}` }
      const answer = await fetch(`${url}/companies?updated_since=${since}`, { headers })
      return JSON.parse(await answer.text()).results
    }
    await eventually(async () => expect((await changed()).length).toBeGreaterThan(2))
    stop.abort(new Error('Ctrl-C'))
    expect(await served).toBeNull()
    await expect(changed()).rejects.toThrow()
  } finally {
    stop.abort()
    await rm(folder, { recursive: true, force: true })
  }
})
