/**
 * What a portal holds: records of every type, their old ids, associations, owners, pipelines, definitions.
 * Invariant: the id of a merged record finds what it was merged into, however often that was merged on.
 */
import { SimulatorClock } from './clock.ts'
import { Edges } from './edges.ts'
import { PortalEvents } from './events.ts'
import { DEFAULT_INDEX_LAG, type IndexLag } from './index-lag.ts'
import { type CustomObject, type ObjectType, ObjectTypes, type TypeSpec } from './object-types.ts'
import { Owners } from './owners.ts'
import { Pipelines } from './pipelines.ts'
import { type CrmRecord, RecordSet } from './record.ts'
import type { PropertyDefinition } from './schema.ts'

export interface PortalOptions {
  readonly seed?: number | undefined
  readonly clock?: SimulatorClock | undefined
  /** Time from a write until search sees it, drawn per write from the seed. Default: 1 to 60 s, mostly a few. 0: none. */
  readonly indexLag?: IndexLag | 0 | undefined
  /** Whether a write of the value that is there already bumps the last-modified time. Default: true. */
  readonly sameValueBumps?: boolean | undefined
}

const FIRST_ID = 1_001

interface Stored {
  readonly records: RecordSet
  readonly aliases: Map<number, number>
  readonly definitions: Map<string, PropertyDefinition>
  readonly groups: Map<string, string>
}

export class PortalStore {
  readonly seed: number
  readonly clock: SimulatorClock
  readonly types = new ObjectTypes()
  readonly edges = new Edges()
  readonly owners: Owners
  readonly pipelines: Pipelines
  readonly events = new PortalEvents()
  indexLag: IndexLag | 0
  readonly #stored = new Map<ObjectType, Stored>()
  /** The next free id, shared by all types. */
  protected nextId = FIRST_ID

  constructor(options: PortalOptions = {}) {
    this.seed = options.seed ?? 1
    this.clock = options.clock ?? SimulatorClock.running()
    this.indexLag = options.indexLag ?? DEFAULT_INDEX_LAG
    this.owners = new Owners(this.clock)
    this.pipelines = new Pipelines(this.clock)
    for (const spec of this.types.all()) this.store(spec)
  }

  /** Makes room for the records of a type; what it holds is emptied. */
  store({ name, definitions }: TypeSpec): void {
    const byName = new Map(definitions.map((definition) => [definition.name, definition]))
    this.#stored.set(name, {
      records: new RecordSet(),
      aliases: new Map(),
      definitions: byName,
      groups: new Map([['information', 'Information']]),
    })
  }

  /** @throws Error when there is no such type */
  #of(type: ObjectType): Stored {
    const stored = this.#stored.get(type)
    if (stored === undefined) throw new Error(`There is no object type ${type}.`)
    return stored
  }

  /** A custom object, associated with the standard types. @returns its type */
  defineObject(object: CustomObject): TypeSpec {
    const standard = this.types.all().filter(({ isCustom }) => !isCustom)
    const spec = this.types.define(object)
    this.store(spec)
    for (const { name } of standard) this.edges.define(spec.name, name, null)
    return spec
  }

  records(type: ObjectType): RecordSet {
    return this.#of(type).records
  }

  definitions(type: ObjectType): ReadonlyMap<string, PropertyDefinition> {
    return this.#of(type).definitions
  }

  defineProperty(type: ObjectType, definition: PropertyDefinition): void {
    this.#of(type).definitions.set(definition.name, definition)
  }

  /** Groups of properties: name to label. */
  groups(type: ObjectType): Map<string, string> {
    return this.#of(type).groups
  }

  aliases(type: ObjectType): ReadonlyMap<number, number> {
    return this.#of(type).aliases
  }

  /** The id a merged record lives on under; any other id as it is. */
  resolve(type: ObjectType, id: number): number {
    const { aliases } = this.#of(type)
    let current = id
    for (let next = aliases.get(id); next !== undefined; next = aliases.get(current)) current = next
    return current
  }

  /** Live only; the id of a merged record finds what it was merged into. */
  get(type: ObjectType, id: number): CrmRecord | undefined {
    const record = this.find(type, id)
    return record?.archivedMs === null ? record : undefined
  }

  /** Live or archived. */
  find(type: ObjectType, id: number): CrmRecord | undefined {
    return this.#of(type).records.get(this.resolve(type, id))
  }

  /** Live records, ids ascending. */
  *live(type: ObjectType): Generator<CrmRecord> {
    for (const record of this.#of(type).records.from(0)) if (record.archivedMs === null) yield record
  }

  /** For a dump: a record and aliases as they were. */
  adopt(record: CrmRecord): void {
    this.#of(record.type).records.add(record)
    this.nextId = Math.max(this.nextId, record.id + 1)
    if (record.archivedMs === null) record.reindex(0, 0)
  }

  adoptAlias(type: ObjectType, oldId: number, newId: number): void {
    this.#of(type).aliases.set(oldId, newId)
    this.nextId = Math.max(this.nextId, oldId + 1)
  }

  /** Live records. */
  count(type: ObjectType): number {
    let live = 0
    for (const _ of this.live(type)) live += 1
    return live
  }
}
