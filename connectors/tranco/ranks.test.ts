import { expect, test } from 'vitest'
import { ranksOf } from './ranks.ts'

async function* pieces(text: string, size: number): AsyncGenerator<string, void, void> {
  for (let from = 0; from < text.length; from += size) yield text.slice(from, from + size)
}

const LIST = '1,google.com\r\n2,amazonaws.com\r\n3,xn--bcher-kva.example\r\n'

test.each([1, 2, 7, 1_000])(
  'the ranks of wanted domains are found, whatever pieces of %d the list comes in',
  async (size) => {
    const wanted = new Set(['xn--bcher-kva.example', 'google.com', 'none.example'])
    expect([...(await ranksOf(pieces(LIST, size), wanted, 3))]).toEqual([
      ['google.com', 1],
      ['xn--bcher-kva.example', 3],
    ])
    expect((await ranksOf(pieces(LIST.trimEnd().replaceAll('\r', ''), size), wanted, 3)).size).toBe(2)
  },
)

test.each([
  '',
  '1,google.com\n',
  LIST.slice(0, 15),
  '<html></html>',
  '1,google.com\n3,a.example\n3,b.example\n',
  'x'.repeat(2_000),
])('%j is a transient failure, never a list without its domains', async (text) => {
  await expect(ranksOf(pieces(text, 5), new Set(['a.example']), 3)).rejects.toMatchObject({ kind: 'transient' })
})
