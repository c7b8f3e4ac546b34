/**
 * Which keys are looked at: every entity, and every key that something derived speaks of although its entity is gone.
 * Invariant: memory holds one piece of keys.
 */
import { type Client, quoteIdent, quoteTable } from '../../db/pool.ts'
import type { EntityNode } from '../../graph/graph.ts'
import { pieces } from './rows.ts'

const PIECE = 1_000

async function* keysOf(client: Client, text: string, values: unknown[]): AsyncGenerator<readonly string[]> {
  for await (const rows of pieces(client, { text, values }, PIECE)) yield rows.map((row) => String(row.key))
}

/** Pieces of keys; `sample` keys at random, or all when it is null. */
export async function* walkKeys(
  client: Client,
  node: EntityNode,
  sample: number | null,
): AsyncGenerator<readonly string[]> {
  const table = quoteTable(node.entity.table.id)
  const key = quoteIdent(node.key)
  if (sample !== null) {
    yield* keysOf(client, `select ${key}::text as key from ${table} order by random() limit $1`, [sample])
    return
  }
  yield* keysOf(client, `select ${key}::text as key from ${table} order by ${key}`, [])
  const derived = `select key::text from ${quoteTable(node.featureTable)}
    union select key from rescore.classification where entity = $1
    union select key from rescore.quarantine where entity = $1
    union select key from rescore.violation where entity = $1
    union select key from rescore.timer where entity = $1
    union select key from rescore.feature_past where entity = $1
    union select key from rescore.classification_past where entity = $1`
  const gone = `select key from (${derived}) d where not exists (select from ${table} e where e.${key}::text = d.key)`
  yield* keysOf(client, gone, [node.entity.name])
}

/** Given keys in pieces. */
export function* inPieces(keys: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < keys.length; at += PIECE) yield keys.slice(at, at + PIECE)
}
