import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Secret } from './secret.ts'
import { createTokenSource } from './token.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rescore-token-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Prints a token and notes each of its runs. */
function counted(token: string) {
  const file = join(folder, 'runs')
  return {
    command: new Secret(`echo run >> ${file}; printf %s '${token}'`),
    runs: async () => (await readFile(file, 'utf8')).split('\n').length - 1,
  }
}

const jwt = (expiresAtMs: number) =>
  `x.${Buffer.from(JSON.stringify({ exp: expiresAtMs / 1_000 })).toString('base64url')}.y`

test('one run serves everybody until shortly before the token expires', async () => {
  let now = 1_000_000
  const { command, runs } = counted(jwt(now + 300_000))
  const token = createTokenSource(command, 10_000, () => now)
  await Promise.all([token(), token(), token()])
  now += 260_000
  await token()
  expect(await runs()).toBe(1)
  now += 15_000
  await token()
  expect(await runs()).toBe(2)
})

test('a token that does not say when it expires is used for a minute', async () => {
  let now = 1_000_000
  const { command, runs } = counted('opaque')
  const token = createTokenSource(command, 10_000, () => now)
  expect(await token()).toBe('opaque')
  now += 59_000
  await token()
  expect(await runs()).toBe(1)
  now += 2_000
  await token()
  expect(await runs()).toBe(2)
})

test.each([
  ['sleep 30', /longer than 100 ms/],
  ['echo canary; exit 7', /failed \(7\)/],
  ['echo canary one; echo two', /no token/],
  ['true', /no token/],
])('%s is refused without its output, and tried again by the next caller', async (command, expected) => {
  const token = createTokenSource(new Secret(command), 100)
  await expect(token()).rejects.toThrow(expected)
  await expect(token()).rejects.not.toThrow(/canary/)
})
