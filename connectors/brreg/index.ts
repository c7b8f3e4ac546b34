/**
 * The register of Norwegian companies (Enhetsregisteret, Brønnøysundregistrene): all units and the places where they are at
 * work, loaded from the nightly file, then kept by the register's change feed. Open data, no key.
 *
 * ```ts
 * brreg()                                                                       // joined by domain
 * brreg({ companies: { table: companies, column: 'organisasjonsnummer' } })     // and by register number
 * ```
 * The feed begins three days before the file was fetched, because the file is made at night and not every night: what it
 * missed is read again as it is now. The feed's own `next` links are not followed, as they end at 10,000 changes; its
 * position is. What was struck off is answered with 200 and a date, what was removed for legal reasons with 410.
 */
import { defineConnector, derive, type Item, rest, type Selector, type Table } from '../../src/define/index.ts'
import { domainOf } from '../domains/domain-of.ts'
import { companyNumbers, subunits, units } from './tables.ts'

const DAY_MS = 86_400_000
const GONE = new Set(['Sletting', 'Fjernet'])

export interface BrregOptions {
  /** Default: https://data.brreg.no/enhetsregisteret/api */
  readonly baseUrl?: string | undefined
  /** The CRM's own column of register numbers; none: companies are joined by domain only. */
  readonly companies?: { readonly table: Table; readonly column: string } | undefined
  /** Pause between looks at the change feed; default 1 min. */
  readonly everyMs?: number | undefined
  /** Changes to a page of the feed, which is also read between two checkpoints; default 500. */
  readonly pageSize?: number | undefined
  /** Default 10; the register states no limit. */
  readonly callsPerSecond?: number | undefined
}

const embedded = (name: string) => (body: unknown) => {
  const found: unknown = Object(Object(body)._embedded)[name]
  // A page without changes has no such field at all.
  return found === undefined && Object(body).page !== undefined ? [] : found
}

const isTrue = (item: Item, field: string) => item[field] === true
const stated = (item: Item, field: string) => (typeof item[field] === 'string' ? item[field] : null)

const COMMON: Readonly<Record<string, Selector<Item>>> = {
  number: 'organisasjonsnummer',
  name: 'navn',
  employees: 'antallAnsatte',
  industry: 'naeringskode1.kode',
  parent: 'overordnetEnhet',
}

/** Nine digits, however they are grouped and whatever stands around them (`NO 923 609 016 MVA`). */
export function registerNumberOf(text: string | null): string | null {
  return /^(?:NO)?(\d{9})(?:MVA)?$/i.exec(text?.replaceAll(/[\s.]/g, '') ?? '')?.[1] ?? null
}

export function brreg(options: BrregOptions = {}) {
  const { baseUrl = 'https://data.brreg.no/enhetsregisteret/api', everyMs = 60_000, pageSize = 500 } = options
  const { companies, callsPerSecond = 10 } = options
  const mirror = (table: Table, kind: string, changes: string, columns: Readonly<Record<string, Selector<Item>>>) =>
    rest({
      table,
      everyMs,
      list: { path: `/${kind}/lastned`, paging: { by: 'stream' } },
      feed: {
        path: `/oppdateringer/${kind}`,
        query: (position, sinceMs) =>
          position === null
            ? { dato: new Date(sinceMs).toISOString(), size: pageSize }
            : { oppdateringsid: BigInt(position) + 1n, size: pageSize },
        items: embedded(changes),
        id: 'organisasjonsnummer',
        position: 'oppdateringsid',
        deleted: ({ endringstype }) => GONE.has(String(endringstype)),
        lookbackMs: 3 * DAY_MS,
      },
      one: { path: (number) => `/${kind}/${number}` },
      deleted: 'slettedato',
      columns: { ...COMMON, ...columns },
    })
  return defineConnector({
    name: 'brreg',
    http: { baseUrl },
    budgets: [{ key: 'brreg', calls: callsPerSecond, perMs: 1_000, concurrency: 4 }],
    streams: [
      mirror(units, 'enheter', 'oppdaterteEnheter', {
        form: 'organisasjonsform.kode',
        website: 'hjemmeside',
        domain: (item) => domainOf(stated(item, 'hjemmeside')),
        registered_on: 'registreringsdatoEnhetsregisteret',
        founded_on: 'stiftelsesdato',
        vat_registered: 'registrertIMvaregisteret',
        bankrupt: 'konkurs',
        winding_up: (item) =>
          isTrue(item, 'underAvvikling') || isTrue(item, 'underTvangsavviklingEllerTvangsopplosning'),
        municipality: 'forretningsadresse.kommunenummer',
      }),
      mirror(subunits, 'underenheter', 'oppdaterteUnderenheter', {
        started_on: 'oppstartsdato',
        municipality: 'beliggenhetsadresse.kommunenummer',
      }),
      ...(companies === undefined
        ? []
        : [
            derive({
              table: companyNumbers,
              from: companies.table,
              columns: { stated: companies.column },
              row: (row) => ({ number: registerNumberOf(row.stated ?? null) }),
            }),
          ]),
    ],
  })
}

export * from './tables.ts'
