/**
 * What a destination has to be told: the wanted values against the ones it is known to hold.
 * Invariant: a value within the dead band is held against what was last written, so a slow drift is written in the end;
 * a probability goes along whenever the label of its model does. Pure.
 */
import type { DeliveredField, DeliveredValue, Delivery } from '../define/index.ts'

export type Values = Readonly<Record<string, DeliveredValue>>
/** By model: label and probability. */
export type Classes = Readonly<Record<string, readonly [label: string, probability: number]>>

export function wantedValues(fields: Delivery['fields'], classes: Classes): Values {
  const wanted: Record<string, DeliveredValue> = {}
  for (const [name, { model, value, digits }] of Object.entries(fields)) {
    const found = classes[model.name]
    if (found === undefined) continue
    wanted[name] = value === 'label' ? found[0] : Number(found[1].toFixed(digits))
  }
  return wanted
}

export interface Difference {
  readonly changed: Values
  /** Fields that differ by less than the dead band. */
  readonly held: number
}

export function differenceOf(
  fields: Readonly<Record<string, DeliveredField>>,
  deadBand: number,
  wanted: Values,
  known: Values | null,
): Difference {
  const differs = Object.keys(wanted).filter((name) => wanted[name] !== known?.[name])
  const relabelled = new Set(
    differs.filter((name) => fields[name]?.value === 'label').map((name) => fields[name]?.model.name),
  )
  const isHeld = (name: string): boolean => {
    const [now, before] = [wanted[name], known?.[name]]
    if (typeof now !== 'number' || typeof before !== 'number') return false
    return Math.abs(now - before) < deadBand && !relabelled.has(fields[name]?.model.name)
  }
  const changed = differs.filter((name) => !isHeld(name))
  const values = Object.fromEntries(changed.flatMap((name) => (name in wanted ? [[name, wanted[name] ?? '']] : [])))
  return { changed: values, held: differs.length - changed.length }
}
