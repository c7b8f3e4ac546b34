/** One write to one record: values, their histories, and what HubSpot computes from them. */
import type { CrmRecord } from './record.ts'
import { DEAL_STAGES, type PropertyDefinition } from './schema.ts'
import { type PropertyInputs, storedValue } from './values.ts'

export interface Written {
  readonly inputs: PropertyInputs
  readonly source: string | ((property: string) => string)
  readonly atMs: number
}

/** @returns names of the values that changed */
export function writeValues(
  record: CrmRecord,
  definitions: ReadonlyMap<string, PropertyDefinition>,
  { inputs, source, atMs }: Written,
): readonly string[] {
  const next: Record<string, string> = { ...record.properties }
  const changed: string[] = []
  const put = (name: string, value: string) => {
    if ((next[name] ?? '') === value) return
    changed.push(name)
    if (value === '') delete next[name]
    else next[name] = value
    const from = typeof source === 'string' ? source : source(name)
    record.remember(name, { value, atMs, source: from }, record.spec.historyKept)
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
