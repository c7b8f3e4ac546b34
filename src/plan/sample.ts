/**
 * The shadow run: a sample of stored entities through the new definitions and models, with writing off.
 *
 * Invariant: in one read-only snapshot, so that what is compared belongs together, and nothing can be written.
 */
import { type Client, type Pool, quoteIdent, quoteTable, withTransaction } from '../db/pool.ts'
import type { EntityNode } from '../graph/graph.ts'
import { type Shadow, shadow } from '../recompute/shadow.ts'
import { areEqual } from '../recompute/value.ts'
import { encodeRow } from '../score/encode.ts'
import { classify } from '../score/label.ts'
import type { LoadedModel } from '../score/registry.ts'
import type { FeatureShadow, LabelShadow, Mover, Sample } from './report.ts'

const PIECE = 500
const MOVERS = 5

export interface SampleOptions {
  readonly node: EntityNode
  /** Features to compute anew. */
  readonly bits: readonly number[]
  /** Models whose labels may move. */
  readonly models: readonly LoadedModel[]
  readonly size: number
  readonly signal: AbortSignal
}

/** Reading all of a table of more rows than this takes longer than a plan should. */
const READ_WHOLE = 100_000
/** Pages are drawn, not rows: of more of them than are needed, the rows are drawn once more. */
const SPARE = 10

async function chooseKeys(client: Client, { node, size }: SampleOptions): Promise<readonly string[]> {
  const table = quoteTable(node.entity.table.id)
  const { rows: estimated } = await client.query<{ count: number }>(
    `select reltuples::float8 as count from pg_class where oid = to_regclass($1) and relkind in ('r', 'm')`,
    [table],
  )
  const count = estimated[0]?.count ?? 0
  const share = (100 * size * SPARE) / Math.max(1, count)
  const drawn = count > READ_WHOLE && share < 100 ? `tablesample system (${share})` : ''
  const { rows } = await client.query<{ key: string }>(
    `select ${quoteIdent(node.key)}::text as key from ${table} ${drawn} order by random() limit $1`,
    [size],
  )
  return rows.map(({ key }) => key)
}

/** How far a number moves; other values by whether they do. */
function distance({ from, to }: Mover): number {
  return typeof from === 'number' && typeof to === 'number' ? Math.abs(to - from) : 0
}

function movesOf(node: EntityNode, rows: readonly Shadow[]): readonly FeatureShadow[] {
  return node.features.flatMap(({ feature, bit }) => {
    const movers = rows.flatMap(({ key, before, after, failure }): readonly Mover[] => {
      const from = before[bit] ?? null
      const to = after[bit] ?? null
      return failure !== null || areEqual(feature.equal, to, from) ? [] : [{ key, from, to }]
    })
    if (movers.length === 0) return []
    const biggest = movers.toSorted((one, other) => distance(other) - distance(one)).slice(0, MOVERS)
    return [{ feature: feature.name, changed: movers.length, movers: biggest }]
  })
}

async function labelsOf(
  client: Client,
  node: EntityNode,
  { model, manifest, infer }: LoadedModel,
  rows: readonly Shadow[],
): Promise<LabelShadow> {
  const computed = rows.filter(({ failure }) => failure === null)
  const stored = await client.query<{ key: string; label: string }>(
    'select key, label from rescore.classification where model = $1 and key = any($2::text[])',
    [model.name, computed.map(({ key }) => key)],
  )
  const labels = new Map(stored.rows.map(({ key, label }) => [key, label]))
  const width = manifest.inputs.length
  const bits = manifest.inputs.map(({ feature }) => node.features.findIndex((one) => one.feature.name === feature))
  const matrix = new Float32Array(computed.length * width)
  for (const [index, { after }] of computed.entries()) {
    encodeRow(
      manifest,
      bits.map((bit) => after[bit] ?? null),
      matrix,
      index * width,
    )
  }
  const found = computed.length === 0 ? new Float32Array() : await infer(matrix, computed.length)
  const classes = manifest.classes.length
  const flips = computed.flatMap(({ key }, index) => {
    const from = labels.get(key)
    const { label: to } = classify(manifest, [...found.subarray(index * classes, (index + 1) * classes)])
    return from === undefined || from === to ? [] : [{ key, from, to }]
  })
  return { model: model.name, compared: labels.size, flipped: flips.length, examples: flips.slice(0, MOVERS) }
}

/** @throws database errors: a table or column that the definitions read may not be there yet */
export async function takeSample(pool: Pool, options: SampleOptions): Promise<Sample> {
  const { node, bits, models, signal } = options
  return withTransaction(pool, { isolation: 'repeatable read', readOnly: true }, async (client) => {
    const keys = await chooseKeys(client, options)
    const startedMs = performance.now()
    const rows: Shadow[] = []
    for (let from = 0; from < keys.length; from += PIECE) {
      signal.throwIfAborted()
      rows.push(...(await shadow(client, node, bits, keys.slice(from, from + PIECE))))
    }
    const labels: LabelShadow[] = []
    for (const model of models) labels.push(await labelsOf(client, node, model, rows))
    const failures = rows.flatMap(({ key, failure }) => (failure === null ? [] : [{ key, failure }]))
    const [first] = failures
    const features = movesOf(node, rows)
    return {
      entities: rows.length,
      changed: rows.filter((row) => hasMoved(node, row)).length,
      failed: failures.length,
      firstFailure: first === undefined ? null : `${first.key}: ${first.failure.feature}: ${first.failure.reason}`,
      features,
      labels,
      ms: performance.now() - startedMs,
    }
  })
}

function hasMoved(node: EntityNode, { before, after, failure }: Shadow): boolean {
  if (failure !== null) return false
  return node.features.some(({ feature, bit }) => !areEqual(feature.equal, after[bit] ?? null, before[bit] ?? null))
}
