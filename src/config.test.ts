import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadProject, readEnvironment } from './config.ts'

test('every wrong variable is named at once, its value is not', () => {
  const read = () =>
    readEnvironment({ DATABASE_URL: 'mysql://secret@host', LOG_LEVEL: 'loud', RESCORE_SLOT: 'No-Good', PATH: '/bin' })
  expect(read).toThrow(/DATABASE_URL.*LOG_LEVEL.*RESCORE_SLOT/)
  expect(read).not.toThrow(/secret/)
})

test('an empty variable counts as not set', () => {
  expect(readEnvironment({ DATABASE_URL: '', LOG_LEVEL: '' })).toEqual({
    LOG_LEVEL: 'info',
    RESCORE_METRICS_HOST: '127.0.0.1',
    RESCORE_SLOT: 'rescore',
    RESCORE_PUBLICATION: 'rescore',
  })
})

test('a missing configuration file says how to make one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescore-config-'))
  await expect(loadProject(folder)).rejects.toMatchObject({
    code: 'CONFIG_MISSING',
    mend: expect.stringContaining('rescore init'),
  })
})

test('a file without the default export, or that throws, is named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescore-config-'))
  writeFileSync(join(folder, 'rescore.config.mjs'), 'export const a = 1')
  await expect(loadProject(folder)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  const broken = mkdtempSync(join(tmpdir(), 'rescore-config-'))
  writeFileSync(join(broken, 'rescore.config.mjs'), "throw new Error('no such feature')")
  await expect(loadProject(broken)).rejects.toThrow(/rescore\.config\.mjs.*no such feature/)
})

test('the port for metrics is a port, any, or none', () => {
  const portOf = (RESCORE_METRICS_PORT: string) => readEnvironment({ RESCORE_METRICS_PORT }).RESCORE_METRICS_PORT
  expect(['9464', '0', 'off', ''].map(portOf)).toEqual([9464, 0, 'off', undefined])
  for (const wrong of ['no', '70000', '1.5'])
    expect(() => portOf(wrong)).toThrow(/RESCORE_METRICS_PORT: must be a port/)
})
