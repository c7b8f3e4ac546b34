/**
 * A tap's packages in a virtual environment of their own, built once per set of pinned packages and Python.
 * Invariant: a folder that stands under its name is whole (python/install.py renames it); a build that is killed is done
 * anew; processes that want the same one wait for the first.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { type SingerTap, type SourceContext, SourceError } from '../../define/index.ts'
import { ownEnvironment } from './environment.ts'
import { lastWords, stalled } from './failure.ts'
import { makeFolder, readAs, readIfThere, sha256 } from './folder.ts'
import { LinePull, linesOf } from './lines.ts'
import { Program, type ProgramEnd } from './program.ts'

const run = promisify(execFile)
const SCRIPT = join(import.meta.dirname, 'python', 'install.py')
const ASK = 'import json, sys; print(json.dumps({"path": sys.executable, "version": sys.version_info[:3]}))'
const STALL_MS = 900_000
const IDLE_MS = 1_000
const MAX_LINE_BYTES = 64 * 1024

const readyFile = z.object({ commands: z.array(z.string()), versions: z.record(z.string(), z.string()) })
const answer = z.object({ path: z.string(), version: z.array(z.number()) })

export interface Installed {
  /** Without a shim in front of it. */
  readonly python: string
  /** The tap itself, to which its arguments are added. */
  readonly command: readonly string[]
  /** Changes when what is installed does. */
  readonly id: string
}

function wrongPython(python: string, why: string, cause?: unknown): SourceError {
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_PYTHON',
    message: `Singer taps need Python 3.9 or newer; '${python}' ${why}`,
    mend: 'Install it (apt install python3 python3-venv), or say where it is: singer({ python: "/usr/bin/python3", … }).',
    cause,
  })
}

interface Python {
  readonly path: string
  readonly version: string
}

/** Asked once: a shim in front of it takes longer than most taps take to start. */
const pythons = new Map<string, Python>()

async function findPython(python: string): Promise<Python> {
  const known = pythons.get(python)
  if (known !== undefined) return known
  const { stdout } = await run(python, ['-I', '-S', '-c', ASK]).catch((cause: unknown) => {
    throw wrongPython(python, 'could not be run.', cause)
  })
  const found = readAs(answer, stdout)
  const [major = 0, minor = 0] = found?.version ?? []
  if (found === undefined || major !== 3 || minor < 9) throw wrongPython(python, `is ${major}.${minor}.`)
  const answered = { path: found.path, version: found.version.join('.') }
  pythons.set(python, answered)
  return answered
}

function installFailure({ code, said }: ProgramEnd, packages: readonly string[]): SourceError {
  const words = lastWords(said)
  const isAway = /Retrying|ConnectionError|timed out|Temporary failure|Connection (refused|reset)|5\d\d Server Error/i
  const isWrong =
    /No matching distribution|Could not find a version|Invalid requirement|ResolutionImpossible|requires a different Python|ensurepip|subprocess-exited-with-error/i
  return new SourceError({
    kind: isWrong.test(words) && !isAway.test(words) ? 'config' : 'transient',
    code: 'CONNECT_TAP_INSTALL',
    message: `${packages.join(', ')} could not be installed (code ${code}). ${words}`,
    mend: 'Check the version and the package index that pip is set to; python3-venv must be installed too.',
  })
}

async function build(tap: SingerTap, python: string, target: string, context: SourceContext): Promise<void> {
  context.log.info({ packages: tap.packages, folder: target }, 'A tap is being installed.')
  const constraints = tap.constraints === undefined ? '-' : resolve(tap.constraints)
  let heardMs = performance.now()
  await using program = await Program.start({
    python,
    lock: `${target}.lock`,
    command: [python, SCRIPT, target, constraints, ...tap.packages],
    env: ownEnvironment(),
    cwd: process.cwd(),
    signal: context.signal,
    onStderr: () => {
      heardMs = performance.now()
    },
  })
  const lines = new LinePull(linesOf(program.stdout, MAX_LINE_BYTES))
  for (let pulled = await lines.next(IDLE_MS); pulled !== 'end'; pulled = await lines.next(IDLE_MS)) {
    if (pulled !== 'idle') heardMs = performance.now()
    if (performance.now() - heardMs > STALL_MS) throw stalled(STALL_MS, 'being installed')
  }
  const ended = await program.ended
  context.signal.throwIfAborted()
  if (ended.code !== 0) throw installFailure(ended, tap.packages)
}

function commandIn(tap: SingerTap, commands: readonly string[]): string {
  const { executable } = tap
  const packageName = /^[\w.-]+/.exec(tap.packages[0] ?? '')?.[0] ?? ''
  const taps = commands.filter((name) => name.startsWith('tap'))
  const found =
    executable === undefined
      ? (commands.find((name) => name === packageName) ??
        (taps.length === 1 ? taps[0] : undefined) ??
        (commands.length === 1 ? commands[0] : undefined))
      : commands.find((name) => name === executable)
  if (found !== undefined) return found
  throw new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_CONFIG',
    message: `${tap.packages[0]} brings ${commands.join(', ') || 'no command'}; ${executable === undefined ? 'which of them is the tap is not plain' : `'${executable}' is not among them`}.`,
    mend: 'Say which: singer({ executable: …, … }).',
  })
}

/** A script is run by the environment's Python itself: its first line names the folder it was built in. */
async function invocation(target: string, name: string): Promise<readonly string[]> {
  const script = join(target, 'bin', name)
  const head = (await readFile(script)).subarray(0, 200).toString('latin1')
  const isPython = /^#!.*python/.test(head) || /^#!\/bin\/sh\n'''exec'/.test(head)
  return isPython ? [join(target, 'bin', 'python'), script] : [script]
}

/** @throws SourceError config when there is no such Python or package, transient when the index cannot be reached */
export async function installTap(tap: SingerTap, context: SourceContext): Promise<Installed> {
  const { path: python, version } = await findPython(tap.python)
  if (tap.command !== undefined) return { python, command: tap.command, id: tap.command.join(' ') }
  const bounds = tap.constraints === undefined ? '' : await readFile(resolve(tap.constraints), 'utf8')
  const id = sha256(JSON.stringify([python, version, tap.packages, bounds])).slice(0, 16)
  const cache = resolve(tap.cache ?? join(homedir(), '.cache', 'rescore', 'singer'))
  const name = (tap.packages[0] ?? '').replace(/[^\w.=-].*$/, '').replace('==', '-')
  const target = join(cache, `${name}-${id}`)
  const readReady = async () => readAs(readyFile, (await readIfThere(join(target, 'ready.json'))) ?? '')
  let ready = await readReady()
  if (ready === undefined) {
    await makeFolder(cache)
    await build(tap, python, target, context)
    ready = await readReady()
  }
  if (ready === undefined) throw installFailure({ code: 0, said: [`${target} holds no ready.json.`] }, tap.packages)
  return { python, command: await invocation(target, commandIn(tap, ready.commands)), id }
}
