/** What stands in a file and what becomes of it: typed values, bad lines, headers that drift. */
import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { setUp } from '../../test/support/files.ts'

test('CSV is typed by the declaration; what fits no column is kept in raw', async () => {
  await using at = await setUp({ columns: { size: 'Team size' }, delimiter: ';' }, { watch: false })
  const lines = [
    '\uFEFFid;name;Team size;active;since;extra',
    '1;"Zürich; ""HQ""";1234567890123456.78;true;2026-02-03;x',
    '2;"two\r\nlines";many;;;',
    '9007199254740993;;;;;',
  ]
  await writeFile(at.file('a.csv'), lines.join('\r\n'))
  expect(await at.pass()).toEqual({ written: 3, rejected: 0 })
  expect(await at.rows('id, name, size::text, active, since::text, raw')).toEqual([
    {
      id: 1n,
      name: 'Zürich; "HQ"',
      size: '1234567890123456.78',
      active: true,
      since: '2026-02-03',
      raw: { extra: 'x' },
    },
    { id: 2n, name: 'two\nlines', size: null, active: null, since: null, raw: { extra: null, size: 'many' } },
    { id: 9007199254740993n, name: null, size: null, active: null, since: null, raw: { extra: null } },
  ])
})

test('another encoding is read where it is declared', async () => {
  await using at = await setUp({ encoding: 'windows-1252', header: ['id', 'name'] }, { watch: false })
  await writeFile(at.file('a.csv'), Buffer.from('1,M\xfcller \x80\n', 'latin1'))
  await at.pass()
  expect(await at.rows()).toEqual([{ id: 1n, name: 'Müller €' }])
})

test('what was typed wrong in a line is told with the line; its neighbours land', async () => {
  await using at = await setUp({ pattern: '*.csv' }, { watch: false })
  await writeFile(
    at.file('a.csv'),
    ['id,name', '1,one', 'x,no number', '2,"open', ',no key', '3,three', '4,too,many', '5,five'].join('\r\n'),
  )
  expect(await at.pass()).toEqual({ written: 3, rejected: 4 })
  expect(await at.ids()).toEqual([1, 3, 5])
  expect((await at.rejects()).map(({ key, reason }) => [key, reason.split(': ')[1]])).toEqual([
    [`${at.file('a.csv')}:3`, 'its id is no bigint.'],
    [`${at.file('a.csv')}:4`, expect.stringMatching(/quote/i)],
    [`${at.file('a.csv')}:5`, 'it has no id.'],
    [`${at.file('a.csv')}:7`, 'it has 3 fields where the header has 2.'],
  ])
})

test('JSON lines keep every digit; a line that is no object is set aside', async () => {
  await using at = await setUp({ pattern: '*.jsonl' }, { watch: false })
  await writeFile(
    at.file('a.jsonl'),
    '\uFEFF{"id":9007199254740993,"size":0.1,"nested":{"a":1}}\n\n[1]\nnull\n{"id":2,"name":"cut\n{"id":3,"name":"N\\u0000L"}',
  )
  expect(await at.pass()).toEqual({ written: 2, rejected: 3 })
  expect(await at.rows('id, name, size::text, raw')).toEqual([
    { id: 3n, name: 'N\uFFFDL', size: null, raw: { name: 'N\\u0000L' } },
    { id: 9007199254740993n, name: null, size: '0.1', raw: { nested: { a: 1 } } },
  ])
})

test('a header that drifts: new fields go to raw, missing ones leave their column null, one without the key is refused', async () => {
  await using at = await setUp()
  await writeFile(at.file('a.csv'), 'id,name,size\n1,one,10\n')
  await writeFile(at.file('b.csv'), 'colour,id\nred,2\n')
  await writeFile(at.file('c.csv'), 'name\nlost\n')
  await writeFile(at.file('d.csv'), 'id,id\n3,3\n')
  expect(await at.settle()).toEqual({ written: 2, rejected: 2 })
  expect(await at.rows('id, name, size::int, raw')).toEqual([
    { id: 1n, name: 'one', size: 10, raw: null },
    { id: 2n, name: null, size: null, raw: { colour: 'red' } },
  ])
  expect((await at.rejects()).map(({ reason }) => reason)).toEqual([
    expect.stringContaining('no field gives the key id'),
    expect.stringContaining("two fields are called 'id'"),
  ])
})
