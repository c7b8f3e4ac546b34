/**
 * Whole replacement of a table by a run: which rows are gone because a newer version of the stream, or a whole read of
 * it, no longer has them.
 *
 * A version's rows are listed from its first record on, over as many runs as it takes, because the listing is committed
 * with the records; when the version is activated, rows that are not listed are deleted. Records of the version that is
 * active are just written. A version that is activated before any record of it came in this run is activated when the
 * run has ended well: until then the old rows are better than none.
 * A stream that is read as a whole each time, without versions, is listed in the same way under one name.
 */
import type { Message, SourceRow, Table } from '../../define/index.ts'
import type { SingerState } from './state.ts'

type Outgoing = Message<SingerState>
type Listing = NonNullable<SingerState['listing']>

export interface ReplacingOptions {
  readonly table: Table
  readonly state: SingerState
  /** Declared or told by the catalog: every run reads all there is. */
  readonly isFullTable: boolean
  /** Nobody says how the stream is read, and the tap has never kept a state: it is taken to read all. */
  readonly mayBeWhole: boolean
  /** Never the same twice: two passes of a stream may each make a listing of one version. */
  readonly stamp: string
}

const WHOLE = 'whole'
const versionOf = (version: string) => `version ${version}`

export class Replacing {
  readonly #table: Table
  readonly #isFullTable: boolean
  readonly #stamp: string
  #mayBeWhole: boolean
  #version: string | null
  #listing: Listing | null
  /** A listing that another one takes the place of. */
  #brokenOff: string | undefined
  #keys: SourceRow[] = []
  #records = 0
  /** Versions of the records that this run brought. */
  readonly #seen = new Set<string>()
  #toActivate: string | null = null

  constructor({ table, state, isFullTable, mayBeWhole, stamp }: ReplacingOptions) {
    this.#table = table
    this.#isFullTable = isFullTable
    this.#mayBeWhole = mayBeWhole
    this.#stamp = stamp
    this.#version = state.version
    this.#listing = state.listing
  }

  /** What of the state is this one's. */
  get state(): Pick<SingerState, 'version' | 'listing'> {
    return { version: this.#version, listing: this.#listing }
  }

  record(row: SourceRow, version: string | null): readonly Outgoing[] {
    this.#records += 1
    if (version !== null) this.#seen.add(version)
    const isWhole = version === null && (this.#isFullTable || this.#mayBeWhole)
    if (!isWhole && (version === null || version === this.#version)) return []
    const before = this.#list(version === null ? WHOLE : versionOf(version))
    this.#keys.push(Object.fromEntries(this.#table.key.map((column) => [column, row[column] ?? null])))
    return before
  }

  /** The tap keeps a state, so a run need not read all. */
  keepsState(): readonly Outgoing[] {
    if (!this.#mayBeWhole) return []
    this.#mayBeWhole = false
    const { name, of } = this.#listing ?? {}
    if (this.#isFullTable || of !== WHOLE || name === undefined) return []
    this.#listing = null
    this.#keys = []
    return [{ op: 'listed', table: this.#table, listing: name, keys: [], instead: name }]
  }

  activate(version: string): readonly Outgoing[] {
    if (version === this.#version) return []
    if (this.#seen.has(version)) return this.#activated(version)
    this.#toActivate = version
    return []
  }

  /** The keys listed since the last time; before every checkpoint. */
  flush(): readonly Outgoing[] {
    if (this.#listing === null || (this.#keys.length === 0 && this.#brokenOff === undefined)) return []
    const instead = this.#brokenOff === undefined ? {} : { instead: this.#brokenOff }
    const listed = {
      op: 'listed',
      table: this.#table,
      listing: this.#listing.name,
      keys: this.#keys,
      ...instead,
    } as const
    this.#keys = []
    this.#brokenOff = undefined
    return [listed]
  }

  /** The run ended well. */
  finish(): readonly Outgoing[] {
    if (this.#toActivate !== null && this.#toActivate !== this.#version) return this.#activated(this.#toActivate)
    if (this.#seen.size > 0) return []
    // A tap that is only taken to read all, and read nothing, is not believed.
    if (!this.#isFullTable && (!this.#mayBeWhole || this.#records === 0)) return []
    return this.#conclude(WHOLE)
  }

  /** @returns what is left to say of the listing before */
  #list(of: string): readonly Outgoing[] {
    if (this.#listing?.of === of) return []
    const last = this.flush()
    this.#brokenOff = this.#listing?.name
    this.#listing = { of, name: `${of} ${this.#stamp}` }
    return last
  }

  #activated(version: string): readonly Outgoing[] {
    this.#version = version
    this.#toActivate = null
    return this.#conclude(versionOf(version))
  }

  #conclude(of: string): readonly Outgoing[] {
    const before = [...this.#list(of), ...this.flush()]
    const listing = this.#listing?.name ?? of
    this.#listing = null
    return [...before, { op: 'unlisted', table: this.#table, listing, keepsOthers: true }]
  }
}
