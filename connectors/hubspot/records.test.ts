import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isPage, page } from './records.ts'

/** Mostly what belongs there, now and then anything. */
const mostly = <T>(right: fc.Arbitrary<T>) =>
  fc.oneof(
    { weight: 40, arbitrary: right },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(null, undefined, 1, true, '', [], {}, [null]) },
  )
const fields = (entries: Record<string, fc.Arbitrary<unknown>>, optional: readonly string[]) =>
  fc.record(entries, { requiredKeys: Object.keys(entries).filter((name) => !optional.includes(name)) })
const text = fc.string({ maxLength: 3 })
const version = mostly(
  fields({ value: mostly(text), timestamp: mostly(text), sourceType: mostly(text) }, ['value', 'sourceType']),
)
const names = fc.constantFrom('name', 'city', 'website')
const dictionary = (values: fc.Arbitrary<unknown>) => mostly(fc.dictionary(names, values))
const record = mostly(
  fields(
    {
      id: mostly(text),
      properties: dictionary(mostly(fc.option(text))),
      propertiesWithHistory: dictionary(mostly(fc.array(version, { maxLength: 3 }))),
    },
    ['propertiesWithHistory'],
  ),
)
const paging = mostly(fields({ next: mostly(fields({ after: mostly(text) }, [])) }, ['next']))
const pages = mostly(fields({ results: mostly(fc.array(record, { maxLength: 3 })), paging }, ['paging']))

test('the quick check of a page takes exactly what its schema takes, unchanged', () => {
  let taken = 0
  let refused = 0
  fc.assert(
    fc.property(pages, (value) => {
      const judged = page.safeParse(value)
      expect(isPage(value)).toBe(judged.success)
      if (judged.success) expect(value).toEqual(judged.data)
      if (judged.success) taken += 1
      else refused += 1
    }),
    { numRuns: 3_000 },
  )
  expect(Math.min(taken, refused)).toBeGreaterThan(300)
})
