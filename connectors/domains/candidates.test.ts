import { expect, test } from 'vitest'
import { candidates, registrableOf } from './candidates.ts'

test.each([
  ['example.com', ['example.com']],
  ['a.b.example.com', ['a.b.example.com', 'b.example.com', 'example.com']],
  ['shop.example.co.uk', ['shop.example.co.uk', 'example.co.uk']],
  ['example.com.au', ['example.com.au']],
  ['co.no', []],
])('%s may be registered as one of %j', (domain, names) => {
  expect(candidates(domain)).toEqual(names)
})

test('the registrable name is the shortest of them, or the domain itself where there is none', () => {
  expect(['a.b.example.com', 'shop.example.co.uk', 'co.no'].map(registrableOf)).toEqual([
    'example.com',
    'example.co.uk',
    'co.no',
  ])
})
