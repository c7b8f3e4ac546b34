/** Under which names a domain may be registered. Pure; without a list of public suffixes, so the longest is to be tried first. */

/** Second labels that registries of countries hand names out below: `example.co.uk` is one, `co.uk` none. */
const SECOND_LEVEL = new Set('ac co com edu go gob gov ltd mil ne net nom or org'.split(' '))

/** The names under which a domain may be registered, longest first: `shop.example.com`, `example.com`. */
export function candidates(domain: string): readonly string[] {
  const labels = domain.split('.')
  const isBelowCountry = labels.at(-1)?.length === 2 && SECOND_LEVEL.has(labels.at(-2) ?? '')
  const shortest = isBelowCountry ? 3 : 2
  return labels.flatMap((_, from) => (labels.length - from < shortest ? [] : [labels.slice(from).join('.')]))
}

/** The shortest of them: `example.com` for `shop.example.com`. */
export function registrableOf(domain: string): string {
  return candidates(domain).at(-1) ?? domain
}
