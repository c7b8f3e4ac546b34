/**
 * The domain name a company is known by, from what people type into a CRM: `https://www.Example.com/about` → `example.com`.
 * Invariant: one company's spellings come to one name, lower case and punycode; what names no site of its own comes to null.
 */

/** Sites of others that companies have pages on: with a path they say nothing of the company's own domain. */
const SHARED = new Set([
  'apps.apple.com',
  'behance.net',
  'crunchbase.com',
  'facebook.com',
  'github.com',
  'instagram.com',
  'linkedin.com',
  'linktr.ee',
  'medium.com',
  'notion.site',
  'play.google.com',
  'sites.google.com',
  'tiktok.com',
  'twitter.com',
  'x.com',
  'youtube.com',
])
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/
const LONGEST_NAME = 253

/** @returns null when the text names no site, or a page on somebody else's */
export function domainOf(text: string | null): string | null {
  const trimmed = text?.trim() ?? ''
  if (trimmed === '' || /[\s@]/.test(trimmed)) return null
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`
  if (!/^https?:/i.test(address) || !URL.canParse(address)) return null
  const { hostname, pathname } = new URL(address)
  const name = hostname.replace(/\.$/, '').replace(/^www\d?\./, '')
  const labels = name.split('.')
  // The last label of a name is never a number; that of an address is.
  if (labels.length < 2 || name.length > LONGEST_NAME || /^\d+$/.test(labels.at(-1) ?? '')) return null
  if (!labels.every((label) => LABEL.test(label))) return null
  return SHARED.has(name) && pathname !== '/' ? null : name
}
