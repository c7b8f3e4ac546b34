/**
 * One record of the portal and its place in the search index.
 *
 * Invariant: `properties` is replaced on a write and never changed, so the index may hold an old version for free and a
 * search sees the record as it was when it was indexed.
 */
import type { ObjectType, TypeSpec } from './object-types.ts'

export type PropertyValues = Readonly<Record<string, string>>

export interface PropertyVersion {
  /** '' where the property was cleared. */
  readonly value: string
  readonly atMs: number
  readonly source: string
}

export interface IndexVersion {
  readonly modifiedMs: number
  readonly properties: PropertyValues
}

interface PendingVersion {
  readonly version: IndexVersion
  readonly visibleAtMs: number
}

export class CrmRecord {
  readonly spec: TypeSpec
  readonly id: number
  readonly createdMs: number
  /** Newest first. */
  readonly history = new Map<string, PropertyVersion[]>()
  properties: PropertyValues = {}
  modifiedMs: number
  archivedMs: number | null = null
  #indexed: IndexVersion | null = null
  #pending: PendingVersion[] = []
  #writes = 0

  constructor(spec: TypeSpec, id: number, createdMs: number) {
    this.spec = spec
    this.id = id
    this.createdMs = createdMs
    this.modifiedMs = createdMs
  }

  get type(): ObjectType {
    return this.spec.name
  }

  /** How often it was written; names the next write's place in the seed. */
  get writes(): number {
    return this.#writes
  }

  remember(name: string, version: PropertyVersion, keep: number): void {
    const versions = this.history.get(name) ?? []
    // Two writes within one millisecond leave one version.
    if (versions[0]?.atMs === version.atMs) versions.shift()
    versions.unshift(version)
    if (versions.length > keep) versions.length = keep
    this.history.set(name, versions)
  }

  /** Puts the record as it is now on its way into the index, where it is seen from `visibleAtMs` on. */
  reindex(visibleAtMs: number, nowMs: number): void {
    this.#writes += 1
    const version = { modifiedMs: this.modifiedMs, properties: this.properties }
    if (visibleAtMs <= nowMs) {
      this.#indexed = version
      this.#pending = []
    } else this.#pending.push({ version, visibleAtMs })
  }

  dropFromIndex(): void {
    this.#indexed = null
    this.#pending = []
  }

  /** What search sees at `nowMs`; null: not there yet. An older version that arrives late never replaces a newer one. */
  indexedAt(nowMs: number): IndexVersion | null {
    if (this.#pending.length > 0) {
      const newest = this.#pending.findLastIndex(({ visibleAtMs }) => visibleAtMs <= nowMs)
      if (newest >= 0) {
        this.#indexed = this.#pending[newest]?.version ?? this.#indexed
        this.#pending = this.#pending.slice(newest + 1)
      }
    }
    return this.#indexed
  }
}

/** Records of one type, ids ascending, as the list endpoint pages through them. */
export class RecordSet {
  readonly #records = new Map<number, CrmRecord>()
  #ids: number[] = []
  #sorted = true

  get(id: number): CrmRecord | undefined {
    return this.#records.get(id)
  }

  get size(): number {
    return this.#records.size
  }

  add(record: CrmRecord): void {
    if (record.id < (this.#ids.at(-1) ?? 0)) this.#sorted = false
    this.#ids.push(record.id)
    this.#records.set(record.id, record)
  }

  delete(id: number): void {
    if (this.#records.delete(id)) this.#ids = this.#ids.filter((known) => known !== id)
  }

  /** Up to `limit` records with an id above `afterId`, archived or live. */
  page(afterId: number, limit: number, archived: boolean): readonly CrmRecord[] {
    const found: CrmRecord[] = []
    for (const record of this.from(afterId)) {
      if ((record.archivedMs !== null) !== archived) continue
      found.push(record)
      if (found.length === limit) break
    }
    return found
  }

  /** Archived and live, ids ascending, above `afterId`. */
  *from(afterId: number): Generator<CrmRecord> {
    const ids = this.#sort()
    let low = 0
    for (let high = ids.length; low < high; ) {
      const middle = (low + high) >> 1
      if ((ids[middle] ?? 0) <= afterId) low = middle + 1
      else high = middle
    }
    for (let at = low; at < ids.length; at += 1) {
      const record = this.#records.get(ids[at] ?? 0)
      if (record !== undefined) yield record
    }
  }

  #sort(): readonly number[] {
    if (!this.#sorted) {
      this.#ids.sort((left, right) => left - right)
      this.#sorted = true
    }
    return this.#ids
  }
}
