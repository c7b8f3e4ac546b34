/**
 * Follows changed rows back along their paths to the entities, in the snapshot of the client's transaction.
 * Invariant: one statement per route, hop and piece of keys, however many changes lie behind them; an association row or
 * a foreign key that is gone from the snapshot is a change of its own and marks its old parent itself.
 */
import { type Client, quoteIdent, quoteTable } from '../db/pool.ts'
import { columnOf, type Hop, POSTGRES_TYPE } from '../define/index.ts'
import { markDirty, type Plan, type Trace } from './affected.ts'
import { isPossibleKey, textArray } from './literals.ts'
import type { Route } from './routes.ts'
import { whereSql } from './where.ts'

const KEYS_PER_STATEMENT = 5_000

type Parents = ReadonlyMap<string, readonly string[]>

/** Marks the entities that the plan's traces lead to. */
export async function resolveTraces(client: Client, plan: Plan): Promise<void> {
  const groups = new Map<Route, Map<number, Trace[]>>()
  for (const trace of plan.traces) {
    const byHop = groups.get(trace.route) ?? new Map<number, Trace[]>()
    groups.set(trace.route, byHop)
    byHop.set(trace.hop, [...(byHop.get(trace.hop) ?? []), trace])
  }
  for (const [route, byHop] of groups) {
    for (const [hop, traces] of byHop) await resolveGroup(client, plan, route, hop, traces)
  }
}

async function resolveGroup(
  client: Client,
  plan: Plan,
  route: Route,
  hops: number,
  traces: readonly Trace[],
): Promise<void> {
  const steps: Parents[] = []
  let frontier: ReadonlySet<string> = new Set(traces.flatMap((trace) => [...trace.keys]))
  for (const hop of route.path.slice(0, hops).reverse()) {
    const parents = await parentsOf(client, hop, [...frontier])
    steps.push(parents)
    frontier = new Set([...parents.values()].flat())
  }
  for (const trace of traces) {
    let keys = trace.keys
    for (const parents of steps) keys = new Set([...keys].flatMap((key) => parents.get(key) ?? []))
    for (const key of keys) markDirty(plan.affected, route.entity, key, trace)
  }
}

async function parentsOf(client: Client, hop: Hop, keys: readonly string[]): Promise<Parents> {
  const [source, own, parent] =
    hop.kind === 'association' ? [hop.through, hop.to, hop.from] : [hop.table, hop.table.key[0] ?? '', hop.column]
  const { kind } = columnOf(source, own)
  const filter = hop.kind === 'association' ? whereSql('t', source, hop.throughWhere) : 'true'
  const text = `select distinct t.${quoteIdent(own)}::text as own, t.${quoteIdent(parent)}::text as parent
    from ${quoteTable(source.id)} t
    where t.${quoteIdent(own)} = any($1::text[]::${POSTGRES_TYPE[kind]}[]) and t.${quoteIdent(parent)} is not null
      and ${filter}`
  const possible = keys.filter((key) => isPossibleKey(kind, key))
  const parents = new Map<string, string[]>()
  for (let from = 0; from < possible.length; from += KEYS_PER_STATEMENT) {
    const piece = textArray(possible.slice(from, from + KEYS_PER_STATEMENT))
    const { rows } = await client.query<{ own: string; parent: string }>(text, [piece])
    for (const row of rows) {
      const known = parents.get(row.own)
      if (known === undefined) parents.set(row.own, [row.parent])
      else known.push(row.parent)
    }
  }
  return parents
}
