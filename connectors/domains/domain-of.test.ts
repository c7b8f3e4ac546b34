import fc from 'fast-check'
import { expect, test } from 'vitest'
import { domainOf } from './domain-of.ts'

test.each([
  ['example.com', 'example.com'],
  [' https://www.Example.com/about?x=1#y ', 'example.com'],
  ['http://example.com:8080', 'example.com'],
  ['WWW.EXAMPLE.NO.', 'example.no'],
  ['shop.example.co.uk', 'shop.example.co.uk'],
  ['https://bücher.example', 'xn--bcher-kva.example'],
  ['github.com', 'github.com'],
])('%j is the site of %s', (text, domain) => {
  expect(domainOf(text)).toBe(domain)
})

test.each([
  null,
  '',
  ' ',
  'none',
  'n/a',
  'a@example.com',
  'example dot com',
  'localhost',
  '10.0.0.1',
  'http://[::1]/',
  'ftp://example.com',
  'javascript:alert(1)',
  'https://www.linkedin.com/company/acme',
  `${'a'.repeat(64)}.com`,
])('%j names no site of its own', (text) => {
  expect(domainOf(text)).toBeNull()
})

test('whatever is typed, the answer is a name that is its own answer, or null', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webUrl(), fc.domain()), (text) => {
      const domain = domainOf(text)
      if (domain !== null) expect(domainOf(domain)).toBe(domain)
    }),
  )
})
