#!/usr/bin/env node
/**
 * The `rescore` command: finds a Node 24 and hands over to the program, whatever Node from 20 up the host has.
 * Plain JavaScript in the syntax Node 20 knows, because this file alone runs on the host's Node.
 * Invariant: signals and the exit code pass through; the child ends when this process does.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const MAJOR = 24
const folder = dirname(dirname(fileURLToPath(import.meta.url)))

/** The TypeScript in a clone, the compiled program in a package. */
function programFile() {
  // Node does not strip types under node_modules, so a compiled program always goes first there.
  const compiled = join(folder, 'dist', 'src', 'cli', 'main.js')
  const source = join(folder, 'src', 'cli', 'main.ts')
  return existsSync(source) ? source : compiled
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

function handOver(node, program) {
  const child = spawn(node, [program, ...process.argv.slice(2)], { stdio: 'inherit' })
  // A terminal sends Ctrl-C to both processes: passing it on again would count as the second one, which forces.
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT')
  })
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`CLI_NODE_START: ${node} could not be started: ${error.message}\n  mend: npm install\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}

const program = programFile()
if (Number(process.versions.node.split('.')[0]) >= MAJOR) {
  process.argv[1] = program
  await import(pathToFileURL(program).href)
} else {
  const node = bundledNode()
  if (node === null) {
    process.stderr.write(
      `CLI_NODE_MISSING: Rescore runs on Node ${MAJOR}; this is Node ${process.versions.node}, and the npm package 'node' has no binary.\n` +
        `  mend: npm install --foreground-scripts (the package 'node' needs its install script), or put Node ${MAJOR} on the PATH\n`,
    )
    process.exitCode = 2
  } else handOver(node, program)
}
