/** One write to one record: values, their histories, and what HubSpot computes from them. */
import type { CrmRecord } from './record.ts'
import { DEAL_STAGES, type ObjectType, type PropertyDefinition } from './schema.ts'
import { type PropertyInputs, storedValue } from './values.ts'

/** Versions of a property that HubSpot keeps. */
const HISTORY_KEPT: Readonly<Record<ObjectType, number>> = { companies: 20, contacts: 45, deals: 20 }

export interface Written {
  readonly inputs: PropertyInputs
  readonly source: string | ((property: string) => string)
  readonly atMs: number
}

/** @returns whether any value changed */
export function writeValues(
  record: CrmRecord,
  definitions: ReadonlyMap<string, PropertyDefinition>,
  { inputs, source, atMs }: Written,
): boolean {
  const next: Record<string, string> = { ...record.properties }
  let changed = false
  const put = (name: string, value: string) => {
    if ((next[name] ?? '') === value) return
    changed = true
    if (value === '') delete next[name]
    else next[name] = value
    const from = typeof source === 'string' ? source : source(name)
    record.remember(name, { value, atMs, source: from }, HISTORY_KEPT[record.type])
  }
  for (const [name, input] of Object.entries(inputs)) put(name, storedValue(definitions.get(name)?.type, input))
  const stage = record.type === 'deals' ? DEAL_STAGES[next.dealstage ?? ''] : undefined
  if (stage !== undefined) {
    put('hs_is_closed', String(stage.closed))
    put('hs_is_closed_won', String(stage.won))
  }
  record.properties = next
  return changed
}
