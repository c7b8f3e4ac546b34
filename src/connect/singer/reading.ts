/**
 * The messages of one run of a tap as the messages of one stream.
 *
 * Invariants: a state of the tap is handed on only in a checkpoint that comes after every record it speaks of; states
 * are gathered, so a tap that writes one a record does not cost a transaction a record; between states the last one
 * vouches for a longer buffer, because what is read again is not written again. An empty STATE never replaces one.
 */
import {
  type CellValue,
  type Message,
  type SingerStreamSpec,
  type SourceContext,
  SourceError,
  type SourceRow,
  type Table,
} from '../../define/index.ts'
import { RAW } from '../fit.ts'
import { rowOf } from '../rest/select.ts'
import { unknown } from './catalog.ts'
import type { RecordMessage, TapMessage } from './message.ts'
import { Replacing } from './replacing.ts'
import { fieldsOf } from './schema.ts'
import type { SingerState } from './state.ts'

type Outgoing = Message<SingerState>
type Schema = Extract<TapMessage, { readonly type: 'SCHEMA' }>

/** A state that comes after fewer records than these waits for the next, or for a pause. */
const ENOUGH = 1_000
/** Without a state in between. */
const MOST = 5_000
const MOST_BYTES = 8 * 1024 * 1024
const EXTRACTED_AT = '_sdc_extracted_at'
const DELETED_AT = '_sdc_deleted_at'

export interface ReadingOptions {
  readonly spec: SingerStreamSpec
  readonly state: SingerState
  /** Under which its records may come. */
  readonly names: readonly string[]
  readonly isFullTable: boolean
  readonly mayBeWhole: boolean
  /** Records hold only what changed: a property that is not there is left as it is. */
  readonly isPartial: boolean
  readonly context: SourceContext
}

/** Our own words about a record (when it was read, in which batch) differ at each reading and are no fields of it. */
function withoutWordsAboutIt(table: Table, record: Readonly<Record<string, unknown>>) {
  const about = Object.keys(record).filter((name) => name.startsWith('_sdc_') && table.columns[name] === undefined)
  if (about.length === 0) return record
  return Object.fromEntries(Object.entries(record).filter(([name]) => !about.includes(name)))
}

export class Reading {
  readonly #spec: SingerStreamSpec
  readonly #names: readonly string[]
  readonly #isPartial: boolean
  readonly #replacing: Replacing
  #value: string | null
  #told: string | undefined
  #unsaved = 0
  #unsavedBytes = 0
  #isStateNew = false
  /** Other streams the tap spoke of. */
  readonly #strangers = new Set<string>()
  #hasOwnSchema = false
  records = 0

  constructor({ spec, state, names, isFullTable, mayBeWhole, isPartial, context }: ReadingOptions) {
    this.#spec = spec
    this.#names = names
    this.#isPartial = isPartial
    this.#value = state.value
    const stamp = `${context.now()}-${Math.floor(context.random() * 1e9)}`
    this.#replacing = new Replacing({ table: spec.table, state, isFullTable, mayBeWhole, stamp })
  }

  *take(message: TapMessage, bytes: number): Generator<Outgoing, void, void> {
    if (message.type === 'STATE') {
      if (message.value === null) return
      yield* this.#replacing.keepsState()
      this.#isStateNew = this.#isStateNew || message.value !== this.#value
      this.#value = message.value
      if (this.#unsaved >= ENOUGH) yield* this.save()
      return
    }
    if (!this.#names.includes(message.stream)) {
      this.#strangers.add(message.stream)
      return
    }
    if (message.type === 'BATCH') throw noBatches()
    if (message.type === 'SCHEMA') yield* this.#schema(message)
    else if (message.type === 'ACTIVATE_VERSION') yield* this.#count(this.#replacing.activate(message.version))
    else yield* this.#record(message, bytes)
    if (this.#unsaved >= MOST || this.#unsavedBytes >= MOST_BYTES) yield* this.save()
  }

  /** One record that is beyond the cap. */
  *tooLong(beginning: string, bytes: number): Generator<Outgoing, void, void> {
    const reason = `The tap wrote a record of ${bytes} bytes, more than singer({ maxLineBytes }) allows.`
    const { table } = this.#spec
    this.#unsaved += 1
    yield { op: 'reject', table, key: null, raw: beginning, code: 'CONNECT_TAP_RECORD_TOO_LONG', reason }
  }

  /** Everything so far, and the last state that came before it. */
  *save(): Generator<Outgoing, void, void> {
    yield* this.#replacing.flush()
    if (this.#unsaved === 0 && !this.#isStateNew) return
    this.#unsaved = 0
    this.#unsavedBytes = 0
    this.#isStateNew = false
    yield { op: 'checkpoint', state: { value: this.#value, ...this.#replacing.state }, done: this.records }
  }

  /** Whether it spoke of any stream. */
  get hasSpoken(): boolean {
    return this.#hasOwnSchema || this.#strangers.size > 0
  }

  /** The run ended well. @throws SourceError config, when the tap spoke of other streams than it was asked for */
  *finish(): Generator<Outgoing, void, void> {
    if (this.#hasOwnSchema) yield* this.#count(this.#replacing.finish())
    yield* this.save()
    // A child is not spoken of when no parent has one.
    const strangers = [...this.#strangers].filter((name) => this.#spec.along?.includes(name) !== true)
    if (!this.#hasOwnSchema && strangers.length > 0) throw unknown(`word about '${this.#spec.stream}'`, strangers)
  }

  *#count(messages: readonly Outgoing[]): Generator<Outgoing, void, void> {
    this.#unsaved += messages.length
    yield* messages
  }

  *#schema(schema: Schema): Generator<Outgoing, void, void> {
    this.#hasOwnSchema = true
    const fields = fieldsOf(schema.properties)
    const told = JSON.stringify([fields, schema.key])
    if (told === this.#told) return
    assertKey(this.#spec, schema.key)
    this.#told = told
    this.#unsaved += 1
    yield { op: 'schema', table: this.#spec.table, fields }
  }

  *#record({ record, version, timeExtracted }: RecordMessage, bytes: number): Generator<Outgoing, void, void> {
    const { table } = this.#spec
    const row = this.#rowOf(record, timeExtracted)
    this.records += 1
    this.#unsaved += 1
    this.#unsavedBytes += bytes
    const deletedAt = record[DELETED_AT]
    const keepsDeleted = table.columns[DELETED_AT] !== undefined
    if (!keepsDeleted && deletedAt !== undefined && deletedAt !== null) {
      const key = Object.fromEntries(table.key.map((column) => [column, row[column] ?? null]))
      yield { op: 'delete', table, key, reason: 'gone' }
      return
    }
    yield { op: 'upsert', table, row }
    yield* this.#replacing.record(row, version)
  }

  #rowOf(record: Readonly<Record<string, unknown>>, timeExtracted: string | null): SourceRow {
    const { table, columns = {} } = this.#spec
    const row: Record<string, CellValue> = { ...rowOf(this.#spec, withoutWordsAboutIt(table, record)) }
    if (table.columns[EXTRACTED_AT] !== undefined && record[EXTRACTED_AT] === undefined)
      row[EXTRACTED_AT] = timeExtracted
    if (!this.#isPartial) return row
    for (const name of Object.keys(row)) {
      const [property = ''] = (columns[name] ?? name).split('.')
      const isThere = name === RAW ? row[RAW] !== null : name === EXTRACTED_AT || Object.hasOwn(record, property)
      if (!isThere) delete row[name]
    }
    return row
  }
}

/** @throws SourceError config, when the table would let records overwrite each other */
function assertKey({ stream, table, columns = {} }: SingerStreamSpec, key: readonly string[]): void {
  const own = table.key.map((column) => columns[column] ?? column)
  if (key.length === 0 || (key.length === own.length && key.every((name) => own.includes(name)))) return
  throw new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_KEY',
    message: `The tap keys '${stream}' by ${key.join(', ')}; ${table.id} is keyed by ${own.join(', ')}.`,
    mend: 'Declare the table with the key of the tap; where columns have other names: columns: { id: "the_property" }.',
  })
}

function noBatches(): SourceError {
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_BATCH',
    message: 'The tap writes its records to files (BATCH), which are not read.',
    mend: 'Take batch_config out of its configuration.',
  })
}
