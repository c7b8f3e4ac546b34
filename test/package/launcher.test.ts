/**
 * The launcher on a Node older than 24: the machine's own where it has one, and this one made to say that it is old, so
 * that the hand-over is tested on every machine. The program it starts is a stand-in that says how it was started.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, realpathSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'

const root = resolve(import.meta.dirname, '../..')
const PRETENDS = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.19.0'}})`

const PROGRAM = `
import { appendFileSync } from 'node:fs'
const [how] = process.argv.slice(2)
const say = (fields) => appendFileSync('said', JSON.stringify(fields) + '\\n')
if (how === 'wait') {
  const forever = setInterval(() => {}, 1000)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {
    say({ signal })
    clearInterval(forever)
    process.exitCode = 9
  })
} else if (how === 'abort') process.kill(process.pid, 'SIGKILL')
else {
  process.exitCode = 7
  process.stdin.pipe(process.stdout)
}
say({ pid: process.pid, node: process.execPath, flags: process.execArgv, args: process.argv.slice(2) })
`

function hostNodes(): readonly (readonly string[])[] {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  const files = folders.map((folder) => join(folder, 'node')).filter((file) => existsSync(file))
  const old = files.filter((file) => /^v2[0-3]\./.test(execFileSync(file, ['--version'], { encoding: 'utf8' })))
  return old.slice(0, 1).map((file) => [file])
}

let folder = ''
let started: ChildProcess[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rescore-launcher-'))
  await cp(join(root, 'bin'), join(folder, 'bin'), { recursive: true })
  await mkdir(join(folder, 'dist/src/cli'), { recursive: true })
  await mkdir(join(folder, 'node_modules/node/bin'), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(join(folder, 'node_modules/node/package.json'), '{"name":"node"}')
  await writeFile(join(folder, 'dist/src/cli/main.js'), PROGRAM)
  await symlink(process.execPath, join(folder, 'node_modules/node/bin/node'))
})
afterEach(async () => {
  for (const child of started) child.kill('SIGKILL')
  started = []
  await rm(folder, { recursive: true, force: true })
})

function launch(node: readonly string[], ...args: string[]) {
  const [command = process.execPath, ...flags] = node
  const child = spawn(command, [...flags, join(folder, 'bin/rescore.js'), ...args], { cwd: folder, stdio: 'pipe' })
  started.push(child)
  const ended = once(child, 'exit').then(([code]) => code)
  return { child, ended, stdout: text(child.stdout), stderr: text(child.stderr) }
}

async function said(): Promise<readonly Record<string, unknown>[]> {
  const lines = (await readFile(join(folder, 'said'), 'utf8')).trim().split('\n')
  return lines.map((line) => JSON.parse(line))
}

const OLD: readonly (readonly [string, readonly string[]])[] = [
  ['this Node, made to say it is 20', [process.execPath, '--import', PRETENDS]],
  ...hostNodes().map((node) => ['the machine’s own Node', node] as const),
]

describe.each(OLD)('on %s', (_, node) => {
  test('the program runs on the Node 24 that came along, with arguments, stdin, stdout and exit code', async () => {
    const { child, ended, stdout } = launch(node, 'echo', '--flag', 'a b')
    child.stdin.end('hello')
    expect(await ended).toBe(7)
    expect(await stdout).toBe('hello')
    const [start] = await said()
    expect(start).toMatchObject({ args: ['echo', '--flag', 'a b'] })
    expect(start?.flags).toContain('--max-semi-space-size=16')
    expect(realpathSync(String(start?.node))).toBe(realpathSync(process.execPath))
    expect(start?.pid).not.toBe(child.pid)
  })

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s is passed on, and how the program ends is how it ends',
    async (signal) => {
      const { child, ended } = launch(node, 'wait')
      await eventually(said)
      child.kill(signal)
      expect(await ended).toBe(9)
      expect((await said()).at(-1)).toEqual({ signal })
    },
  )

  test('a program that was killed ends as a shell would say it', async () => {
    expect(await launch(node, 'abort').ended).toBe(137)
  })

  test('a launcher killed without a word takes its program along', async () => {
    const { child, ended } = launch(node, 'wait')
    await eventually(said)
    child.kill('SIGKILL')
    await ended
    await eventually(async () => expect((await said()).at(-1)).toEqual({ signal: 'SIGTERM' }))
  })

  test('without a Node 24 it says what is missing and how to mend it', async () => {
    await rm(join(folder, 'node_modules/node/bin/node'))
    const { ended, stderr } = launch(node, 'echo')
    expect(await ended).toBe(2)
    expect(await stderr).toMatch(
      /^CLI_NODE_MISSING: Rescore runs on Node 24; this is Node 2[0-3]\..*\n {2}mend: .*npm rebuild node/,
    )
  })
})

test('on Node 24 the program runs in the same process', async () => {
  const { child, ended } = launch([process.execPath], 'echo')
  child.stdin.end()
  expect(await ended).toBe(7)
  expect(await said()).toMatchObject([{ pid: child.pid, args: ['echo'] }])
})
