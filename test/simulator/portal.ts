/**
 * A HubSpot portal: what it holds (store.ts) and everything that can be done to it.
 *
 * Invariants: a write bumps the last-modified time, archiving and associating do not; the same seed, clock and calls
 * give the same portal; whatever is done is told of once. It lives in memory and is lost with the process; `dump` keeps it.
 */
import { dumpPortal, type PortalDump } from './dump.ts'
import type { Category, Edge } from './edges.ts'
import type { EventKind, PortalEvent } from './events.ts'
import { lagMs } from './index-lag.ts'
import { mergedRecord } from './merge.ts'
import type { ObjectType } from './object-types.ts'
import { CrmRecord } from './record.ts'
import { type PortalOptions, PortalStore } from './store.ts'
import type { PropertyInputs } from './values.ts'
import { writeValues } from './write.ts'

export interface WriteOptions {
  /** Where the values came from, one for all or per property. Default: CRM_UI */
  readonly source?: string | ((property: string) => string)
  /** When it happened (ms since 1970). Default: now */
  readonly atMs?: number
}

export class Portal extends PortalStore {
  readonly #sameValueBumps: boolean

  constructor(options: PortalOptions = {}) {
    super(options)
    this.#sameValueBumps = options.sameValueBumps ?? true
  }

  /** @param id default: the next free one, shared by all types. @throws Error when it is taken */
  create(
    type: ObjectType,
    properties: PropertyInputs,
    options: WriteOptions & { readonly id?: number } = {},
  ): CrmRecord {
    const id = options.id ?? this.nextId
    if (this.records(type).get(id) !== undefined) throw new Error(`There is a record ${id} among the ${type} already.`)
    this.nextId = Math.max(this.nextId, id + 1)
    const record = new CrmRecord(this.types.get(type), id, options.atMs ?? this.clock.now())
    this.records(type).add(record)
    this.#write(record, properties, options)
    this.#tell('creation', record, options)
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
    this.#tell('deletion', record)
  }

  restore(type: ObjectType, id: number): void {
    const record = this.records(type).get(id)
    if (record === undefined || record.archivedMs === null)
      throw new Error(`No archived record ${id} among the ${type}.`)
    record.archivedMs = null
    this.#index(record, this.clock.now())
    this.#tell('restore', record)
  }

  /** Gone for good, in no list. */
  privacyDelete(type: ObjectType, id: number): void {
    const record = this.find(type, id)
    if (record === undefined) throw new Error(`No record ${id} among the ${type}.`)
    this.records(type).delete(record.id)
    this.edges.removeAll(type, record.id)
    // HubSpot tells of both, in no order.
    this.#tell('privacyDeletion', record)
    this.#tell('deletion', record)
  }

  /** What HubSpot works out by itself: neither the last-modified time nor the index moves, and nobody is told. */
  calculate(type: ObjectType, id: number, values: Readonly<Record<string, string>>): void {
    const record = this.#mustGet(type, id)
    const unknown = Object.keys(values).find((name) => this.definitions(type).get(name)?.calculated !== true)
    if (unknown !== undefined) throw new Error(`${unknown} is no calculated property of ${type}.`)
    record.properties = { ...record.properties, ...values }
  }

  /** Renaming a pipeline or a stage moves the last-modified time of all its records. */
  editPipeline(type: ObjectType, id: string, label: string): void {
    const column = this.pipelines.rename(type, id, label)
    const atMs = this.clock.now()
    for (const record of this.live(type)) if (record.properties[column] === id) this.#bump(record, atMs)
  }

  /** A new record takes the place of both; the first one's values win. @returns the new record */
  merge(type: ObjectType, firstId: number, secondId: number): CrmRecord {
    const first = this.#mustGet(type, firstId)
    const second = this.#mustGet(type, secondId)
    if (first === second) throw new Error(`Record ${firstId} cannot be merged with itself.`)
    const nowMs = this.clock.now()
    const merged = mergedRecord(first, second, this.nextId, nowMs)
    this.nextId += 1
    for (const source of [first, second]) {
      for (const edge of [...this.edges.from(type, source.id)]) this.edges.add({ ...edge, fromId: merged.id })
      this.edges.removeAll(type, source.id)
      this.records(type).delete(source.id)
      this.adoptAlias(type, source.id, merged.id)
    }
    this.records(type).add(merged)
    this.#bump(merged, nowMs)
    this.#tell('merge', merged, {}, { merge: { primary: first.id, merged: [second.id] } })
    return merged
  }

  /** @param typeId default: the unlabelled association between the two types; @param category default: HubSpot's own */
  associate(
    from: ObjectType,
    fromId: number,
    to: ObjectType,
    toId: number,
    typeId?: number,
    category?: Category,
  ): void {
    const plain = this.edges.defaultType(from, to)
    const edge: Edge = {
      from,
      fromId: this.#mustGet(from, fromId).id,
      to,
      toId: this.#mustGet(to, toId).id,
      typeId: typeId ?? plain?.typeId ?? 0,
      category: category ?? (typeId === undefined ? plain?.category : undefined) ?? 'HUBSPOT_DEFINED',
    }
    if (!this.edges.knows(from, to, edge.typeId, edge.category)) {
      throw new Error(`There is no association ${typeId ?? ''} from ${from} to ${to}.`)
    }
    this.edges.add(edge)
    this.#tellEdge(edge, false)
  }

  dissociate(
    from: ObjectType,
    fromId: number,
    to: ObjectType,
    toId: number,
    typeId?: number,
    category?: Category,
  ): void {
    const ends = { from, fromId: this.resolve(from, fromId), to, toId: this.resolve(to, toId) }
    for (const edge of this.edges.remove({ ...ends, typeId, category })) this.#tellEdge(edge, true)
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
    const changed = writeValues(record, this.definitions(record.type), { inputs, source, atMs })
    if (changed.length > 0 || record.writes === 0) this.#bump(record, atMs)
    if (!this.events.heard) return changed.length > 0
    for (const name of changed) {
      const property = { name, value: record.properties[name] ?? '' }
      const from = typeof source === 'string' ? source : source(name)
      this.#tell('propertyChange', record, { ...options, source: from }, { property })
    }
    return changed.length > 0
  }

  #tell(kind: EventKind, { type, id }: CrmRecord, options: WriteOptions = {}, more: Partial<PortalEvent> = {}): void {
    if (!this.events.heard) return
    const source = typeof options.source === 'string' ? options.source : 'CRM_UI'
    this.events.tell({ kind, type, id, atMs: options.atMs ?? this.clock.now(), source, ...more })
  }

  /** Each end is told of it as the one it starts from. */
  #tellEdge(edge: Edge, removed: boolean): void {
    if (!this.events.heard) return
    const back = this.edges.types(edge.from, edge.to).find((one) => one.typeId === edge.typeId)
    const told = (from: ObjectType, id: number, to: ObjectType, toId: number, typeId: number) =>
      this.events.tell({
        kind: 'associationChange',
        type: from,
        id,
        atMs: this.clock.now(),
        source: 'USER',
        association: { to, toId, typeId, category: edge.category, removed },
      })
    told(edge.from, edge.fromId, edge.to, edge.toId, edge.typeId)
    told(edge.to, edge.toId, edge.from, edge.fromId, back?.inverse ?? edge.typeId)
  }

  #bump(record: CrmRecord, atMs: number): void {
    record.modifiedMs = Math.max(record.modifiedMs, atMs)
    this.#index(record, atMs)
  }

  #index(record: CrmRecord, atMs: number): void {
    record.reindex(atMs + lagMs(this.indexLag, this.seed, record), this.clock.now())
  }
}
