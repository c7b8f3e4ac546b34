import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { RescoreError } from '../errors.ts'
import { parseCount, parseDuration } from './command.ts'
import { exitCodeOf, explained } from './exit.ts'
import { createProgram, run } from './main.ts'

const { signal } = new AbortController()

test('every command shows two worked examples', () => {
  const { commands } = createProgram(signal)
  expect(commands.length).toBeGreaterThan(5)
  for (const command of commands) {
    let help = ''
    command
      .configureOutput({
        writeOut: (text) => {
          help += text
        },
      })
      .outputHelp()
    expect(help.match(/^ {2}\$ .*rescore /gm), command.name()).toHaveLength(2)
    expect(help, command.name()).toContain('--json')
  }
})

test('an unknown command or option is a usage error', async () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    expect(await run(['nonsense'], signal)).toBe(2)
    expect(await run(['status', '--nonsense'], signal)).toBe(2)
    expect(await run(['wait', '--until-reflected', '--timeout', 'soon'], signal)).toBe(2)
  } finally {
    write.mockRestore()
  }
})

test('a reader that goes away early is no failure', async () => {
  const program = fileURLToPath(new URL('./main.ts', import.meta.url))
  const child = spawn(process.execPath, [program, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})

test('durations and counts', () => {
  expect([parseDuration('500ms'), parseDuration('30s'), parseDuration('1.5m'), parseDuration('2')]).toEqual([
    500, 30_000, 90_000, 2_000,
  ])
  expect(() => parseDuration('-1s')).toThrow(/not a duration/)
  expect(parseCount('3')).toBe(3)
  expect(() => parseCount('0')).toThrow(/whole number/)
})

test('errors of the database become exit codes', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  expect(exitCodeOf(explained(refused))).toBe(4)
  expect(exitCodeOf(explained(new AggregateError([refused])))).toBe(4)
  expect(exitCodeOf(explained(new Error('anything')))).toBe(1)
  const config = new RescoreError({ code: 'CONFIG_MISSING', fate: 'stop', message: 'm', mend: 'd' })
  expect(exitCodeOf(explained(config))).toBe(2)
})
