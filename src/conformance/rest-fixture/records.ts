/**
 * The records of one list of a fixture: made, changed, taken away, brought back.
 * Invariant: records stand in the order they were made in, so a page's place in the list never depends on their changes.
 */
import type { CellValue, Item, SourceRow } from '../../define/index.ts'
import type { FixtureList } from './spec.ts'

/** Beyond what a bigint column holds. */
const TOO_LARGE = 10n ** 20n
/** The first whole number that JavaScript's own cannot tell from its neighbour. */
const ODD = 9_007_199_254_740_993n

export interface FixtureRecord {
  readonly item: Item
  readonly at: number
  readonly isRemoved: boolean
  readonly isPoison: boolean
}

const isObject = (value: unknown): value is Item => typeof value === 'object' && value !== null

export function valueAt(item: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((found, name) => (isObject(found) ? found[name] : undefined), item)
}

/** A copy with another value at the path. */
export function withValue(item: Item, path: string, value: unknown): Item {
  const [name = '', ...rest] = path.split('.')
  if (rest.length === 0) return { ...item, [name]: value }
  const inner = item[name]
  return { ...item, [name]: withValue(isObject(inner) ? inner : {}, rest.join('.'), value) }
}

const cellOf = (value: unknown): CellValue =>
  typeof value === 'string'
    ? value.replaceAll('\0', '\uFFFD')
    : isObject(value)
      ? value
      : typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean'
        ? value
        : null

export class FixtureRecords {
  readonly list: FixtureList
  readonly #now: () => number
  /** undefined: erased; its place stays, so that no page in the making shifts. */
  readonly #records: (FixtureRecord | undefined)[] = []
  readonly #byKey = new Map<string, number>()
  #changed = 0

  constructor(list: FixtureList, now: () => number) {
    this.list = list
    this.#now = now
  }

  keyOf(item: Item): unknown {
    return valueAt(item, this.#pathOf(this.list.table.key[0] ?? ''))
  }

  /** By key; undefined when it was never there. */
  find(key: string): { readonly record: FixtureRecord; readonly at: number } | undefined {
    const at = this.#byKey.get(key)
    const record = at === undefined ? undefined : this.#records[at]
    return at === undefined || record === undefined ? undefined : { record, at }
  }

  /** Those the list shows, each with its place, from a place on. */
  *listed(from: number, sinceMs: number): Generator<{ readonly record: FixtureRecord; readonly at: number }> {
    for (let at = from; at < this.#records.length; at += 1) {
      const record = this.#records[at]
      if (record === undefined || record.at < sinceMs) continue
      if (!record.isRemoved || this.list.deleted !== undefined) yield { record, at }
    }
  }

  create(isPoison = false, change: (item: Item) => Item = (item) => item): void {
    const item = change(this.list.record(this.#records.length + 1))
    this.#byKey.set(String(this.keyOf(item)), this.#records.length)
    this.#records.push(this.#stamped({ item, at: this.#now(), isRemoved: false, isPoison }))
  }

  change(count: number): void {
    const { text } = this.list
    const live = this.#live()
    for (let done = 0; text !== undefined && done < count && live.length > 0; done += 1) {
      // Old ones as well as those just changed, front and middle of the list.
      const at = live[(this.#changed * 37) % live.length]
      this.#changed += 1
      this.#put(at, (record) => ({
        ...record,
        item: withValue(record.item, text, `${String(valueAt(record.item, text))}'`),
      }))
    }
  }

  remove(count: number): void {
    for (const at of this.#live().slice(0, count))
      this.#put(at, (record) => this.#marked({ ...record, isRemoved: true }))
  }

  restore(): void {
    for (const [at, found] of this.#records.entries()) {
      if (found?.isRemoved === true) this.#put(at, (record) => this.#marked({ ...record, isRemoved: false }))
    }
  }

  /** @returns its key */
  erase(): string {
    const [at = 0] = this.#live()
    const record = this.#records[at]
    if (record === undefined) throw new Error('There is no record to erase.')
    const key = String(this.keyOf(record.item))
    this.#byKey.delete(key)
    this.#records[at] = undefined
    return key
  }

  /** One that no table can hold, between two that are good. */
  poison(): void {
    this.create()
    this.create(true, (item) => this.#withKey(item, this.#keyKind() === 'text' ? null : TOO_LARGE))
    this.create()
  }

  oddValues(): void {
    const { text, number } = this.list
    if (text === undefined) return
    const isLarge = this.#keyKind() === 'bigint'
    for (const [at, odd] of ['NUL \0 in it', '🚀 Zürich 東京', 'ä'.repeat(1_000_000)].entries()) {
      this.create(false, (item) => {
        const named = withValue(item, text, odd)
        const counted = number === undefined ? named : withValue(named, number, ODD)
        return isLarge ? this.#withKey(counted, ODD + BigInt(at)) : counted
      })
    }
  }

  /** What the table must hold. */
  truth(): readonly SourceRow[] {
    const { table } = this.list
    const columns = Object.keys(table.columns).filter((name) => table.columns[name]?.kind !== 'json')
    return this.#live().flatMap((at) => {
      const record = this.#records[at]
      if (record === undefined) return []
      return [Object.fromEntries(columns.map((name) => [name, cellOf(valueAt(record.item, this.#pathOf(name)))]))]
    })
  }

  #pathOf(column: string): string {
    return this.list.columns?.[column] ?? column
  }

  #keyKind() {
    const { table } = this.list
    return table.columns[table.key[0] ?? '']?.kind
  }

  #withKey(item: Item, value: unknown): Item {
    return withValue(item, this.#pathOf(this.list.table.key[0] ?? ''), value)
  }

  /** Places of the records there are. */
  #live(): readonly number[] {
    return this.#records.flatMap((record, at) =>
      record === undefined || record.isRemoved || record.isPoison ? [] : [at],
    )
  }

  #put(at: number | undefined, change: (record: FixtureRecord) => FixtureRecord): void {
    const record = at === undefined ? undefined : this.#records[at]
    if (at !== undefined && record !== undefined)
      this.#records[at] = this.#stamped({ ...change(record), at: this.#now() })
  }

  #stamped(record: FixtureRecord): FixtureRecord {
    const field = this.list.changed?.field
    return typeof field === 'string'
      ? { ...record, item: withValue(record.item, field, new Date(record.at).toISOString()) }
      : record
  }

  /** Says in the record that it is gone, or no longer. */
  #marked(record: FixtureRecord): FixtureRecord {
    const { deleted } = this.list
    if (deleted === undefined) return record
    const isFlag = typeof valueAt(record.item, deleted) === 'boolean'
    const mark = isFlag ? record.isRemoved : record.isRemoved ? new Date(this.#now()).toISOString() : null
    return { ...record, item: withValue(record.item, deleted, mark) }
  }
}
