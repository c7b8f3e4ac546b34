import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseJson } from '../../define/exact-json.ts'
import { arrayElements } from './elements.ts'

async function* pieces(text: string, size: number): AsyncGenerator<string, void, void> {
  for (let from = 0; from < text.length; from += size) yield text.slice(from, from + size)
}

async function read(text: string, size = 3): Promise<readonly unknown[]> {
  const found: unknown[] = []
  for await (const element of arrayElements(pieces(text, size))) found.push(element())
  return found
}

test('the elements of any array are what parsing it whole makes of it, however it is cut and spaced', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue()),
      fc.integer({ min: 1, max: 40 }),
      fc.nat(3),
      async (values, size, indent) => {
        const text = JSON.stringify(values, undefined, indent)
        expect(await read(` ${text}\n`, size)).toEqual(parseJson(text))
      },
    ),
    { numRuns: 300 },
  )
})

test('a number beyond 2^53 is not rounded', async () => {
  expect(await read('[{"nr":9007199254740993}]')).toEqual([{ nr: 9_007_199_254_740_993n }])
})

test.each(['', '   ', '[{"a":1}', '[{"a":"]', '[1,2', '{"a":[1]}', '<html>[1]</html>', '[1][2]', '[1] x', '[tru]'])(
  '%j is a transient failure, not the end of a list',
  async (text) => {
    await expect(read(text)).rejects.toMatchObject({ kind: 'transient', code: 'CONNECT_BAD_BODY' })
  },
)
