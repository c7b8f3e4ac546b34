/**
 * Enhetsregisteret as its documentation and its users describe it, small enough to be changed.
 *
 * | behaviour | source |
 * | --- | --- |
 * | paths, fields, `SlettetEnhet` with 200 and `slettedato`, 410 for what was removed, 404 for the unknown | data.brreg.no/enhetsregisteret/api/dokumentasjon |
 * | `oppdateringsid` includes the position itself; `dato` includes the time itself; ascending; ids are sparse | the same; users who walked it (GitHub, 2026-09) |
 * | a page without changes has no `_embedded` | measured by several users (GitHub) |
 * | (page + 1) · size beyond 10,000 is 400 | documentation |
 * | the file is a gzip file without `content-encoding`, made at night | documentation (`/enheter/lastned`) |
 */
import { gzipSync } from 'node:zlib'
import { type FixtureAnswer, type FixtureRequest, type KitClock, manualClock } from '../../src/conformance/index.ts'

type Kind = 'enheter' | 'underenheter'
type Change = 'Ny' | 'Endring' | 'Sletting' | 'Fjernet'

interface Unit {
  readonly kind: Kind
  readonly number: string
  readonly name: string
  /** JSON text, so that it may be larger than a JavaScript number. */
  readonly employees: string
  readonly website?: string
  readonly status: 'live' | 'deleted' | 'removed'
}

interface Update {
  readonly kind: Kind
  readonly id: number
  readonly at: number
  readonly number: string
  readonly change: Change
}

const DAY_MS = 86_400_000
const MOST = 10_000
const NUMBER = '@number:'
const EMBEDDED: Readonly<Record<Kind, string>> = {
  enheter: 'oppdaterteEnheter',
  underenheter: 'oppdaterteUnderenheter',
}

const jsonText = (value: unknown) => JSON.stringify(value).replace(/"@number:(-?\d+)"/g, '$1')

function websiteOf({ number, website }: Unit): string {
  return website ?? `www.firma${number}.no`
}

function bodyOf(unit: Unit): object {
  const { kind, number, name, employees } = unit
  const common = {
    organisasjonsnummer: number,
    navn: name,
    antallAnsatte: NUMBER + employees,
    harRegistrertAntallAnsatte: true,
    registreringsdatoEnhetsregisteret: '2019-03-04',
    naeringskode1: { kode: '62.010', beskrivelse: 'Programmeringstjenester' },
  }
  if (kind === 'underenheter') {
    return { ...common, respons_klasse: 'Underenhet', overordnetEnhet: '999999999', oppstartsdato: '2019-04-01' }
  }
  return {
    ...common,
    respons_klasse: 'Enhet',
    organisasjonsform: { kode: 'AS', beskrivelse: 'Aksjeselskap' },
    hjemmeside: websiteOf(unit),
    stiftelsesdato: '2019-02-01',
    registrertIMvaregisteret: true,
    konkurs: false,
    underAvvikling: false,
    underTvangsavviklingEllerTvangsopplosning: false,
    forretningsadresse: { kommunenummer: '0301', kommune: 'OSLO', land: 'Norge', landkode: 'NO' },
  }
}

export class Register {
  readonly clock: KitClock
  readonly #units = new Map<string, Unit>()
  readonly #updates: Update[] = []
  readonly #files = new Map<Kind, { readonly day: number; readonly bytes: Buffer }>()
  #next = 910_000_000
  #lastId = 16_000_000
  #changed = 0

  constructor(count: number, clock: KitClock = manualClock()) {
    this.clock = clock
    this.create(count)
    clock.advance(DAY_MS)
    this.#file('enheter')
    this.#file('underenheter')
    // What happened after the file was made is told by the feed alone.
    clock.advance(60_000)
    this.change(12)
    this.create(6)
    this.remove(4)
    clock.advance(60_000)
  }

  live(): readonly Unit[] {
    return [...this.#units.values()].filter(({ status }) => status === 'live')
  }

  put(unit: Unit, change: Change): void {
    this.#units.set(unit.number, unit)
    this.#lastId += 1 + (this.#updates.length % 3) * 7
    const { kind, number } = unit
    this.#updates.push({ kind, number, change, id: this.#lastId, at: this.clock.now() })
  }

  /** Every other one is a unit, every other one a place of work. */
  create(count: number, options: { readonly sameInstant?: boolean; readonly name?: string } = {}): void {
    for (let made = 0; made < count; made += 1) {
      if (options.sameInstant !== true) this.clock.advance(1)
      this.#next += 1
      const kind: Kind = made % 2 === 0 ? 'enheter' : 'underenheter'
      const name = options.name ?? `FIRMA ${this.#next} AS`
      this.put({ kind, number: String(this.#next), name, employees: String(made % 300), status: 'live' }, 'Ny')
    }
  }

  add(name: string, website: string, employees: number): void {
    this.#next += 1
    const unit = { kind: 'enheter', number: String(this.#next), name, website, status: 'live' } as const
    this.put({ ...unit, employees: String(employees) }, 'Ny')
  }

  change(count: number): void {
    const live = this.live()
    for (let done = 0; done < count && live.length > 0; done += 1) {
      const unit = live[(this.#changed * 37) % live.length]
      this.#changed += 1
      if (unit !== undefined) this.put({ ...unit, name: `${unit.name}'` }, 'Endring')
    }
  }

  remove(count: number): void {
    for (const unit of this.live().slice(0, count)) this.put({ ...unit, status: 'deleted' }, 'Sletting')
  }

  restore(): void {
    for (const unit of [...this.#units.values()]) {
      if (unit.status === 'deleted') this.put({ ...unit, status: 'live' }, 'Ny')
    }
  }

  erase(): string {
    const [unit] = this.live()
    if (unit === undefined) throw new Error('nothing to erase')
    this.put({ ...unit, status: 'removed' }, 'Fjernet')
    return unit.number
  }

  oddValues(): void {
    for (const name of ['NUL \0 in it', '🚀 Blåbærsyltetøy 東京', 'å'.repeat(1_000_000)]) {
      this.#next += 1
      this.put(
        { kind: 'enheter', number: String(this.#next), name, employees: '9007199254740993', status: 'live' },
        'Ny',
      )
    }
  }

  truth() {
    const live = this.live()
    const rowsOf = (of: Kind) =>
      live
        .filter(({ kind }) => kind === of)
        .map((unit) => ({
          number: unit.number,
          name: unit.name.replaceAll('\0', '\uFFFD'),
          employees: unit.employees,
          ...(of === 'enheter' ? { domain: `firma${unit.number}.no`, form: 'AS' } : { parent: '999999999' }),
        }))
    return { 'brreg.units': rowsOf('enheter'), 'brreg.subunits': rowsOf('underenheter') }
  }

  /** Made once a day, the first time it is asked for. */
  #file(kind: Kind): { readonly day: number; readonly bytes: Buffer } {
    const day = Math.floor(this.clock.now() / DAY_MS)
    const known = this.#files.get(kind)
    if (known?.day === day) return known
    const bodies = this.live().filter((unit) => unit.kind === kind)
    const made = { day, bytes: gzipSync(jsonText(bodies.map(bodyOf))) }
    this.#files.set(kind, made)
    return made
  }

  #feed(kind: Kind, query: FixtureRequest['query']): FixtureAnswer {
    const size = Number(query.size ?? 20)
    const page = Number(query.page ?? 0)
    if (size > MOST || (page + 1) * size > MOST) return { status: 400, body: { feilmelding: 'Side er for stor' } }
    const after = query.oppdateringsid === undefined ? Number.NEGATIVE_INFINITY : Number(query.oppdateringsid)
    const since = query.dato === undefined ? Number.NEGATIVE_INFINITY : Date.parse(query.dato)
    const found = this.#updates.filter((one) => one.kind === kind && one.id >= after && one.at >= since)
    const items = found.slice(page * size, (page + 1) * size).map(({ id, at, number, change }) => ({
      oppdateringsid: id,
      dato: new Date(at).toISOString(),
      organisasjonsnummer: number,
      endringstype: change,
    }))
    const about = { size, totalElements: found.length, totalPages: Math.ceil(found.length / size), number: page }
    return { body: { ...(items.length === 0 ? {} : { _embedded: { [EMBEDDED[kind]]: items } }), page: about } }
  }

  answer({ path, query }: FixtureRequest): FixtureAnswer {
    const [, first, second, third] = path.split('/')
    if (first === 'oppdateringer' && (second === 'enheter' || second === 'underenheter'))
      return this.#feed(second, query)
    if ((first !== 'enheter' && first !== 'underenheter') || third !== undefined) return { status: 404 }
    if (second === 'lastned') {
      const { day, bytes } = this.#file(first)
      const headers = {
        'content-type': 'application/vnd.brreg.enhetsregisteret.enhet.v2+gzip;charset=UTF-8',
        'last-modified': new Date(day * DAY_MS).toUTCString(),
      }
      return { body: bytes, headers }
    }
    const unit = this.#units.get(second ?? '')
    if (unit === undefined || unit.kind !== first) return { status: 404 }
    const { number, name } = unit
    if (unit.status === 'removed')
      return { status: 410, body: { organisasjonsnummer: number, slettedato: '2026-01-01' } }
    if (unit.status === 'live') return { body: jsonText(bodyOf(unit)) }
    const form = { kode: 'AS', beskrivelse: 'Aksjeselskap' }
    const about = { organisasjonsnummer: number, navn: name, organisasjonsform: form, slettedato: '2026-01-01' }
    return { body: { respons_klasse: first === 'enheter' ? 'SlettetEnhet' : 'SlettetUnderenhet', ...about } }
  }
}
