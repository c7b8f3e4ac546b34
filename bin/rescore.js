#!/usr/bin/env node
/**
 * The `rescore` command: finds a Node 24 and hands over to the program, whatever Node from 20 up the host has.
 * Plain JavaScript in the syntax Node 20 knows, because this file alone runs on the host's Node.
 * Invariant: signals and the exit code pass through; the program ends when this process does, kill -9 included.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const MAJOR = 24
/**
 * V8 lets young objects take 64 MB twice over before it collects them; with 16 the service's peak is 110 MB lower for a
 * few per cent more processor time.
 */
const FLAGS = ['--max-semi-space-size=16']
/** kafkajs sets a timer into the past on every connection; what Node runs the project with (src/graph/code) it calls experimental. */
const HARMLESS = ['TimeoutNegativeWarning', 'ExperimentalWarning']
const folder = dirname(dirname(fileURLToPath(import.meta.url)))

/** The TypeScript in a clone, the compiled program in a package. */
function programFile() {
  const source = join(folder, 'src', 'cli', 'main.ts')
  return existsSync(source) ? source : join(folder, 'dist', 'src', 'cli', 'main.js')
}

/** The Node 24 that came from npm: beside this package, or in the project it is called from. */
function bundledNode() {
  for (const from of [join(folder, 'package.json'), join(process.cwd(), 'package.json')]) {
    try {
      const home = dirname(createRequire(pathToFileURL(from)).resolve('node/package.json'))
      const name = process.platform === 'win32' ? 'node.exe' : 'node'
      const found = join(home, 'bin', name)
      if (existsSync(found)) return found
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  return null
}

function refuse(text, code) {
  process.stderr.write(`${text}\n`)
  process.exitCode = code
}

function handOver(node, program) {
  const watcher = pathToFileURL(join(folder, 'bin', 'end-with-parent.js')).href
  const flags = [...FLAGS, ...HARMLESS.map((name) => `--disable-warning=${name}`)]
  const child = spawn(node, [...flags, '--import', watcher, program, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  // A terminal sends Ctrl-C to both processes; the program takes the two for one press.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) =>
    refuse(`CLI_NODE_START: ${node} could not be started: ${error.message}\n  mend: npm rebuild node`, 1),
  )
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal]
  })
}

const program = programFile()
if (Number(process.versions.node.split('.')[0]) >= MAJOR) {
  process.argv[1] = program
  // Flags come too late here: this is the very process that runs the program.
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => {
    if (!HARMLESS.includes(name)) process.stderr.write(`${name}: ${message}\n`)
  })
  await import(pathToFileURL(program).href)
} else {
  const node = bundledNode()
  if (node !== null) handOver(node, program)
  else {
    refuse(
      `CLI_NODE_MISSING: Rescore runs on Node ${MAJOR}; this is Node ${process.versions.node}, and the npm package 'node' has no binary.\n` +
        '  mend: let its install script run (npm install-scripts approve node && npm rebuild node; npm before 11: npm rebuild node), ' +
        `or put Node ${MAJOR} on the PATH`,
      2,
    )
  }
}
