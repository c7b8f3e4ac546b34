/** Entities from scratch at an instant, and what their time inputs rest on: row by row, by verify's own code. */
import type { Client } from '../../src/db/pool.ts'
import { type AnyInput, columnOf, type FeatureValue, type Hop, latenessMs } from '../../src/define/index.ts'
import type { EntityNode } from '../../src/graph/graph.ts'
import { computeEntity, type Outcome } from '../../src/observe/verify/compute.ts'
import { satisfies } from '../../src/observe/verify/filter.ts'
import { type Reached, Walker } from '../../src/observe/verify/reach.ts'
import { rowsWhere } from '../../src/observe/verify/rows.ts'
import { daysSinceOf, periodOf, rowsInTime } from '../../src/observe/verify/time.ts'
import { identity, type Row, rowKey } from '../../src/observe/verify/values.ts'

/** All rows of some entities, read once; time passes without reading again. */
export class Scratch {
  readonly #node: EntityNode
  readonly #own: ReadonlyMap<string, Row>
  readonly #reached: ReadonlyMap<readonly Hop[], Reached>

  private constructor(node: EntityNode, own: ReadonlyMap<string, Row>, reached: ReadonlyMap<readonly Hop[], Reached>) {
    this.#node = node
    this.#own = own
    this.#reached = reached
  }

  static async read(client: Client, node: EntityNode, keys: readonly string[]): Promise<Scratch> {
    const { kind } = columnOf(node.entity.table, node.key)
    const rows = await rowsWhere(client, node.entity.table, node.key, keys)
    const own = new Map(rows.map((row) => [identity(kind, row[node.key]), row]))
    const walker = new Walker(client, [...own.keys()])
    const reached = new Map<readonly Hop[], Reached>()
    for (const { feature } of node.features) {
      for (const input of Object.values(feature.inputs)) {
        if (input.input === 'aggregate') reached.set(input.path, await walker.walk(input.path))
      }
    }
    return new Scratch(node, own, reached)
  }

  get keys(): readonly string[] {
    return [...this.#own.keys()]
  }

  #given(key: string, nowMs: number) {
    const own = this.#own.get(key) ?? {}
    const reached = (path: readonly Hop[]) => this.#reached.get(path)?.get(key) ?? []
    return { key, own, stored: null, reached, instantOf: () => nowMs, given: null, violations: new Map() }
  }

  /** Feature to value. */
  valuesOf(key: string, nowMs: number): Readonly<Record<string, FeatureValue>> {
    const outcome: Outcome = computeEntity(this.#node, this.#given(key, nowMs))
    if (outcome.kind === 'failed') throw new Error(`${outcome.feature} fails: ${outcome.code}`)
    return Object.fromEntries(outcome.fresh)
  }

  /** What an input rests on at an instant: for a window the rows in it, as text. Null: it does not know the time. */
  basisOf(input: AnyInput, key: string, nowMs: number): string | null {
    const { own, reached } = this.#given(key, nowMs)
    const clock = (slackMs: number) => nowMs - latenessMs(this.#node.entity.name, key, slackMs)
    if (input.input === 'period') return String(periodOf(input, clock(input.slackMs)))
    if (input.input === 'days-since') return String(daysSinceOf(input, own, clock(input.slackMs)))
    if (input.input !== 'aggregate' || input.window === undefined) return null
    const table = input.path.at(-1)?.table
    if (table === undefined) return null
    return rowsInTime(input, reached(input.path), clock(input.window.slackMs))
      .filter((row) => satisfies(table, input.where, row))
      .map((row) => rowKey(table, row))
      .toSorted()
      .join(' ')
  }

  /** Of all inputs of a feature's own. */
  basisOfFeature(bit: number, key: string, nowMs: number): string {
    const inputs = Object.values(this.#node.features[bit]?.feature.inputs ?? {})
    return JSON.stringify(inputs.map((input) => this.basisOf(input, key, nowMs)))
  }
}
