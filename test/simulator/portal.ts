/**
 * A HubSpot portal: records, their histories, associations, merges, and a search index that lags behind.
 *
 * Invariants: a write bumps the last-modified time, archiving and associating do not; the same seed, clock and calls
 * give the same portal. It lives in memory and is lost with the process; `dump` keeps it.
 */
import { SimulatorClock } from './clock.ts'
import { dumpPortal, type PortalDump } from './dump.ts'
import { Edges } from './edges.ts'
import { DEFAULT_INDEX_LAG, type IndexLag, lagMs } from './index-lag.ts'
import { mergedRecord } from './merge.ts'
import { CrmRecord, RecordSet } from './record.ts'
import { DEFINITIONS, type ObjectType, type PropertyDefinition } from './schema.ts'
import type { PropertyInputs } from './values.ts'
import { writeValues } from './write.ts'

export interface PortalOptions {
  readonly seed?: number | undefined
  readonly clock?: SimulatorClock | undefined
  /** Time from a write until search sees it, drawn per write from the seed. Default: 1 to 60 s, mostly a few. 0: none. */
  readonly indexLag?: IndexLag | 0 | undefined
  /** Whether a write of the value that is there already bumps the last-modified time. Default: true. */
  readonly sameValueBumps?: boolean | undefined
}

export interface WriteOptions {
  /** Where the values came from, one for all or per property. Default: CRM_UI */
  readonly source?: string | ((property: string) => string)
  /** When it happened (ms since 1970). Default: now */
  readonly atMs?: number
}

const FIRST_ID = 1_001

export class Portal {
  readonly seed: number
  readonly clock: SimulatorClock
  readonly edges = new Edges()
  indexLag: IndexLag | 0
  readonly #sameValueBumps: boolean
  readonly #records: Readonly<Record<ObjectType, RecordSet>> = {
    companies: new RecordSet(),
    contacts: new RecordSet(),
    deals: new RecordSet(),
  }
  readonly #aliases: Readonly<Record<ObjectType, Map<number, number>>> = {
    companies: new Map(),
    contacts: new Map(),
    deals: new Map(),
  }
  readonly #definitions: Readonly<Record<ObjectType, Map<string, PropertyDefinition>>>
  #nextId = FIRST_ID

  constructor(options: PortalOptions = {}) {
    this.seed = options.seed ?? 1
    this.clock = options.clock ?? SimulatorClock.running()
    this.indexLag = options.indexLag ?? DEFAULT_INDEX_LAG
    this.#sameValueBumps = options.sameValueBumps ?? true
    const byName = (type: ObjectType) => new Map(DEFINITIONS[type].map((definition) => [definition.name, definition]))
    this.#definitions = { companies: byName('companies'), contacts: byName('contacts'), deals: byName('deals') }
  }

  records(type: ObjectType): RecordSet {
    return this.#records[type]
  }

  definitions(type: ObjectType): ReadonlyMap<string, PropertyDefinition> {
    return this.#definitions[type]
  }

  defineProperty(type: ObjectType, definition: PropertyDefinition): void {
    this.#definitions[type].set(definition.name, definition)
  }

  aliases(type: ObjectType): ReadonlyMap<number, number> {
    return this.#aliases[type]
  }

  /** The id a merged record lives on under; any other id as it is. */
  resolve(type: ObjectType, id: number): number {
    let current = id
    for (let next = this.#aliases[type].get(id); next !== undefined; next = this.#aliases[type].get(current)) {
      current = next
    }
    return current
  }

  /** Live only; the id of a merged record finds what it was merged into. */
  get(type: ObjectType, id: number): CrmRecord | undefined {
    const record = this.find(type, id)
    return record?.archivedMs === null ? record : undefined
  }

  /** Live or archived. */
  find(type: ObjectType, id: number): CrmRecord | undefined {
    return this.#records[type].get(this.resolve(type, id))
  }

  /** Live records, ids ascending. */
  *live(type: ObjectType): Generator<CrmRecord> {
    for (const record of this.#records[type].from(0)) if (record.archivedMs === null) yield record
  }

  /** @param id default: the next free one, shared by all types. @throws Error when it is taken */
  create(
    type: ObjectType,
    properties: PropertyInputs,
    options: WriteOptions & { readonly id?: number } = {},
  ): CrmRecord {
    const id = options.id ?? this.#nextId
    if (this.#records[type].get(id) !== undefined) throw new Error(`There is a record ${id} among the ${type} already.`)
    this.#nextId = Math.max(this.#nextId, id + 1)
    const record = new CrmRecord(type, id, options.atMs ?? this.clock.now())
    this.#records[type].add(record)
    this.#write(record, properties, options)
    return record
  }

  /** @throws Error when there is no live record with this id */
  edit(type: ObjectType, id: number, properties: PropertyInputs, options: WriteOptions = {}): CrmRecord {
    const record = this.#mustGet(type, id)
    const changed = this.#write(record, properties, options)
    if (!changed && this.#sameValueBumps) this.#bump(record, options.atMs ?? this.clock.now())
    return record
  }

  /** Stamps every record with the same millisecond and changes nothing else, as a bulk job does. @returns how many */
  touch(type: ObjectType, ids: Iterable<number>): number {
    const atMs = this.clock.now()
    let touched = 0
    for (const id of ids) {
      this.#bump(this.#mustGet(type, id), atMs)
      touched += 1
    }
    return touched
  }

  archive(type: ObjectType, id: number): void {
    const record = this.#mustGet(type, id)
    record.archivedMs = this.clock.now()
    record.dropFromIndex()
  }

  restore(type: ObjectType, id: number): void {
    const record = this.#records[type].get(id)
    if (record === undefined || record.archivedMs === null)
      throw new Error(`No archived record ${id} among the ${type}.`)
    record.archivedMs = null
    this.#index(record, this.clock.now())
  }

  /** Gone for good, in no list. */
  privacyDelete(type: ObjectType, id: number): void {
    const record = this.find(type, id)
    if (record === undefined) throw new Error(`No record ${id} among the ${type}.`)
    this.#records[type].delete(record.id)
    this.edges.removeAll(type, record.id)
  }

  /** A new record takes the place of both; the first one's values win. @returns the new record */
  merge(type: ObjectType, firstId: number, secondId: number): CrmRecord {
    const first = this.#mustGet(type, firstId)
    const second = this.#mustGet(type, secondId)
    if (first === second) throw new Error(`Record ${firstId} cannot be merged with itself.`)
    const nowMs = this.clock.now()
    const merged = mergedRecord(first, second, this.#nextId, nowMs)
    this.#nextId += 1
    for (const source of [first, second]) {
      for (const edge of [...this.edges.from(type, source.id)]) this.edges.add({ ...edge, fromId: merged.id })
      this.edges.removeAll(type, source.id)
      this.#records[type].delete(source.id)
      this.#aliases[type].set(source.id, merged.id)
    }
    this.#records[type].add(merged)
    this.#bump(merged, nowMs)
    return merged
  }

  /** @param typeId default: the unlabelled association between the two types */
  associate(from: ObjectType, fromId: number, to: ObjectType, toId: number, typeId?: number): void {
    const type = typeId ?? this.edges.defaultType(from, to)
    if (type === undefined || !this.edges.knows(from, to, type)) {
      throw new Error(`There is no association ${typeId ?? ''} from ${from} to ${to}.`)
    }
    const ends = { fromId: this.#mustGet(from, fromId).id, toId: this.#mustGet(to, toId).id }
    this.edges.add({ from, to, ...ends, typeId: type })
  }

  dissociate(from: ObjectType, fromId: number, to: ObjectType, toId: number, typeId?: number): void {
    this.edges.remove({ from, fromId: this.resolve(from, fromId), to, toId: this.resolve(to, toId), typeId })
  }

  /** For a dump: a record and aliases as they were. */
  adopt(record: CrmRecord): void {
    this.#records[record.type].add(record)
    this.#nextId = Math.max(this.#nextId, record.id + 1)
    if (record.archivedMs === null) record.reindex(0, 0)
  }

  adoptAlias(type: ObjectType, oldId: number, newId: number): void {
    this.#aliases[type].set(oldId, newId)
    this.#nextId = Math.max(this.#nextId, oldId + 1)
  }

  /** Live records. */
  count(type: ObjectType): number {
    let live = 0
    for (const _ of this.live(type)) live += 1
    return live
  }

  dump(): PortalDump {
    return dumpPortal(this)
  }

  #mustGet(type: ObjectType, id: number): CrmRecord {
    const record = this.get(type, id)
    if (record === undefined) throw new Error(`No record ${id} among the ${type}.`)
    return record
  }

  /** @returns whether any value changed */
  #write(record: CrmRecord, inputs: PropertyInputs, options: WriteOptions): boolean {
    const { source = 'CRM_UI', atMs = this.clock.now() } = options
    const changed = writeValues(record, this.#definitions[record.type], { inputs, source, atMs })
    if (changed || record.writes === 0) this.#bump(record, atMs)
    return changed
  }

  #bump(record: CrmRecord, atMs: number): void {
    record.modifiedMs = Math.max(record.modifiedMs, atMs)
    this.#index(record, atMs)
  }

  #index(record: CrmRecord, atMs: number): void {
    record.reindex(atMs + lagMs(this.indexLag, this.seed, record), this.clock.now())
  }
}
