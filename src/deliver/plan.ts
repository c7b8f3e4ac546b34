/**
 * What is to be done about each record that is due. Pure.
 * Invariant: every record ends in exactly one of the lists, so none is looked at for ever.
 */
import { createHash } from 'node:crypto'
import type { Delivery, DeliveryRecord } from '../define/index.ts'
import { differenceOf, type Values, wantedValues } from './difference.ts'
import type { Begun, Due, Settled } from './ledger.ts'
import { knownValues, type Mirrored } from './mirror.ts'
import type { Aside } from './settle.ts'

export interface Write extends Begun {
  readonly mark: bigint
  readonly attempts: number
  readonly record: DeliveryRecord
}

export interface Plan {
  readonly writes: readonly Write[]
  readonly settled: readonly Settled[]
  /** Gone, and nothing to tell. */
  readonly forgotten: readonly Due[]
  readonly aside: readonly Aside[]
}

function recordId(delivery: Delivery, key: string, number: bigint): string {
  const text = JSON.stringify([delivery.name, key, number.toString()])
  return `msg_${createHash('sha256').update(text).digest('base64url').slice(0, 27)}`
}

/** A repeat is made of the same bytes. */
function sorted(values: Values): Values {
  return Object.fromEntries(Object.entries(values).sort(([left], [right]) => (left < right ? -1 : 1)))
}

function areSame(left: Values, right: Values): boolean {
  const names = Object.keys(left)
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name])
}

/** A record written this often has a circle behind it, or somebody who writes against us. */
function flapping({ key, mark, hourWrites }: Due): Aside {
  const reason = `Written ${hourWrites} times within an hour; it is left alone for the next one.`
  return { key, mark, code: 'DELIVER_FLAPPING', reason, waitMs: 3_600_000 }
}

export function planWrites(
  delivery: Delivery,
  due: readonly Due[],
  mirror: ReadonlyMap<string, Mirrored>,
  { hearsOfGone }: { readonly hearsOfGone: boolean },
): Plan {
  const plan = { writes: [] as Write[], settled: [] as Settled[], forgotten: [] as Due[], aside: [] as Aside[] }
  const { deadBand, perRecordHour } = delivery.limits
  for (const one of due) {
    const { key, mark, attempts, sent } = one
    const values = wantedValues(delivery.fields, one.classes)
    const isGone = Object.keys(values).length === 0
    const known = knownValues(one, mirror.get(key))
    const { changed, held } = differenceOf(delivery.fields, deadBand, values, known)
    const isTold = sent !== null || one.unsure.length > 0
    if (isGone && !(isTold && hearsOfGone)) plan.forgotten.push(one)
    else if (!isGone && Object.keys(changed).length === 0) {
      plan.settled.push({ key, mark, known, why: held > 0 ? 'held' : 'same' })
    } else if (one.hourWrites >= perRecordHour) plan.aside.push(flapping(one))
    else {
      const unsure = isGone ? Object.keys(delivery.fields) : Object.keys(changed)
      const after = isGone ? {} : sorted({ ...known, ...changed })
      const isRepeat = one.pending !== null && areSame(one.pending.values, after)
      const number = isRepeat && one.pending !== null ? one.pending.number : one.nextNumber
      const id = recordId(delivery, key, number)
      const record = { key, id, values: after, changed, previous: sent, isGone }
      plan.writes.push({ key, mark, attempts, record, number, values: after, unsure })
    }
  }
  return plan
}
