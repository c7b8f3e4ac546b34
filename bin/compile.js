/**
 * prepack: compiles what a user's project runs into dist/, because Node strips no types under node_modules.
 * Invariant: dist/ holds what the sources say now and nothing of an earlier compile.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')

rmSync(join(root, 'dist'), { recursive: true, force: true })
// npm reads a package's file list from stdout (`npm pack --json`): the compiler speaks on stderr.
const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: ['ignore', 2, 2],
})
if (status !== 0) process.exit(status ?? 1)
for (const folder of ['src/cli/templates', 'src/connect/singer/python']) {
  cpSync(join(root, folder), join(root, 'dist', folder), {
    recursive: true,
    filter: (file) => !file.includes('__pycache__'),
  })
}
