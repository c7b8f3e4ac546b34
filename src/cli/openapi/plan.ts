/**
 * What a new connector will be, before a line of it is written: from an OpenAPI document, or for a source one has yet to
 * read about. Invariant: every guess stands in the notes of what it is about. Pure.
 */
import type { PlannedAccess } from './access.ts'
import type { PlannedChanges } from './changes.ts'
import type { PlannedPaging } from './paging.ts'
import type { Field } from './records.ts'

/** A value the document does not give and the user has to: an option of the connector. */
export interface PlannedOption {
  /** As it is called in the code. */
  readonly name: string
  readonly comment: string
}

/** Fixed text, or the value of an option. */
export type PlannedValue = { readonly text: string } | { readonly option: string }

export interface PlannedStream {
  readonly table: string
  /** Fixed text and options, to be joined. */
  readonly path: readonly PlannedValue[]
  readonly documented: string
  readonly query: readonly (readonly [name: string, value: PlannedValue])[]
  /** From the body to its records; empty: the body itself. */
  readonly items: readonly string[]
  /** The key first. */
  readonly fields: readonly Field[]
  readonly key: string
  readonly paging: PlannedPaging | null
  readonly changed: PlannedChanges | undefined
  readonly tombstone: Field | undefined
  /** Reads one record. `before`: the path before its key; `item`: where the record is in the body. */
  readonly one:
    | { readonly before: readonly PlannedValue[]; readonly after: string; readonly item: readonly string[] }
    | undefined
  readonly notes: readonly string[]
}

export interface Plan {
  readonly name: string
  readonly title: string
  /** Address or file; null: blank. */
  readonly from: string | null
  /** null: the user gives it. */
  readonly baseUrl: string | null
  readonly access: PlannedAccess
  readonly headers: readonly (readonly [name: string, value: PlannedValue])[]
  readonly rateHeaders: { readonly limit?: string; readonly remaining?: string; readonly reset?: string } | undefined
  readonly options: readonly PlannedOption[]
  readonly streams: readonly PlannedStream[]
  readonly notes: readonly string[]
  /** Lists that were not taken, and why. */
  readonly leftOut: readonly (readonly [path: string, why: string])[]
}

/** What `--blank` begins with: a list of the kind most APIs have, to be changed to what one's own says. */
export function blankPlan(name: string): Plan {
  const field = (column: string, kind: Field['kind']): Field => ({
    column,
    path: [column],
    kind,
    format: undefined,
    values: [],
  })
  return {
    name,
    title: name,
    from: null,
    baseUrl: 'https://api.example.com',
    access: { kind: 'bearer' },
    headers: [],
    rateHeaders: undefined,
    options: [],
    streams: [
      {
        table: 'companies',
        path: [{ text: '/companies' }],
        documented: '/companies',
        query: [],
        items: ['results'],
        fields: [
          field('id', 'bigint'),
          field('name', 'text'),
          field('employees', 'number'),
          field('updated_at', 'timestamp'),
        ],
        key: 'id',
        paging: {
          by: 'cursor',
          parameter: 'after',
          next: ['paging', 'next'],
          size: { parameter: 'limit', value: 100 },
        },
        changed: { parameter: 'updated_since', format: 'iso', newerBy: 'updated_at', notes: [] },
        tombstone: undefined,
        one: { before: [{ text: '/companies/' }], after: '', item: [] },
        notes: ['An example: nothing of it is known of your source.'],
      },
    ],
    notes: [],
    leftOut: [],
  }
}
