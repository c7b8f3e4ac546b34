/**
 * `rescore start` as a process of its own, on the test project, as a supervisor sees it: signals, exit code, log lines,
 * and the port for health and metrics.
 * Invariant: disposing kills it whatever state it is in, and removes its folder.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { eventually } from './eventually.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/rescore.js', import.meta.url))
const PROJECTS = {
  test: `export { projectConfig as default } from '${new URL('project-features.ts', import.meta.url).href}'\n`,
  /** The same after a release. */
  changed: `export { changedConfig as default } from '${new URL('project-changed.ts', import.meta.url).href}'\n`,
}
const NODE_24 = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url))
const stripsTypes = Number(process.versions.node.split('.')[0]) >= 24

export interface Probe {
  readonly status: number
  readonly body: {
    readonly status: string
    readonly why: readonly string[]
    readonly parts: Readonly<Record<string, { readonly state: string; readonly why: string | null }>>
  }
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class Started implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #folder: string
  readonly #lines: string[] = []
  readonly exited: Promise<Exit>
  hasExited = false

  constructor(folder: string, args: readonly string[], environment: Readonly<Record<string, string>>) {
    this.#folder = folder
    this.#process = spawn(stripsTypes ? process.execPath : NODE_24, [PROGRAM, 'start', ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', RESCORE_METRICS_PORT: '0', ...environment },
    })
    const kill = () => this.signal('SIGKILL')
    process.once('exit', kill)
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.#lines.push(line))
    }
    this.exited = new Promise((resolve, reject) => {
      this.#process.once('error', reject)
      this.#process.once('close', (code, signal) => {
        process.removeListener('exit', kill)
        this.hasExited = true
        resolve({ code, signal })
      })
    })
  }

  /** Everything it has printed so far. */
  get output(): string {
    return this.#lines.join('\n')
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** Address of health and metrics, once it has said so. @throws when it ends before */
  async url(): Promise<string> {
    return eventually(() => {
      const found = /"url":"(http:[^"]+)"/.exec(this.output)?.[1]
      if (found !== undefined) return found
      throw new Error(`no address yet: ${this.output}`)
    })
  }

  async probe(path: '/healthz' | '/readyz'): Promise<Probe> {
    const response = await fetch(`${await this.url()}${path}`)
    const body: unknown = await response.json()
    return { status: response.status, body: body as Probe['body'] }
  }

  /** Samples by name with labels as printed, `rescore_role_leader{role="capture"}`. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`${await this.url()}/metrics`)).text()
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(
      samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
    )
  }

  async ready(): Promise<void> {
    await eventually(
      async () => {
        if (this.hasExited) throw new Error(`it has ended: ${this.output}`)
        const { status, body } = await this.probe('/readyz')
        if (status !== 200) throw new Error(`not ready: ${body.why.join('; ')}\n${this.output}`)
      },
      { deadlineMs: 90_000, everyMs: 100 },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL')
    await this.exited
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** @param args after `rescore start` */
export function startProcess(
  environment: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<Started> {
  return startProject('test', environment, ...args)
}

export async function startProject(
  project: keyof typeof PROJECTS,
  environment: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<Started> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-started-'))
  await writeFile(join(folder, 'rescore.config.ts'), PROJECTS[project])
  return new Started(folder, args, environment)
}
