/**
 * What is to be done about each record that is due. Pure.
 * Invariant: every record ends in exactly one of the lists, so none is looked at for ever.
 */
import { createHash } from 'node:crypto'
import type { Delivery, DeliveryRecord } from '../define/index.ts'
import { differenceOf, type Values, wantedValues } from './difference.ts'
import type { Due, Settled } from './ledger.ts'
import { knownValues, type Mirrored } from './mirror.ts'
import type { Aside } from './settle.ts'

export interface Write {
  readonly key: string
  readonly mark: bigint
  readonly attempts: number
  readonly record: DeliveryRecord
  /** All the destination holds once it is written. */
  readonly values: Values
}

export interface Plan {
  readonly writes: readonly Write[]
  readonly settled: readonly Settled[]
  /** Gone, and nothing to tell. */
  readonly forgotten: readonly Due[]
  readonly aside: readonly Aside[]
}

function recordId(delivery: Delivery, due: Due, values: Values): string {
  const sorted = Object.keys(values)
    .sort()
    .map((name) => [name, values[name]])
  const text = JSON.stringify([delivery.name, due.key, due.sentCount.toString(), sorted])
  return `msg_${createHash('sha256').update(text).digest('base64url').slice(0, 27)}`
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
    const { key, mark, attempts, sent, pending } = one
    const values = wantedValues(delivery.fields, one.classes)
    const isGone = Object.keys(values).length === 0
    const known = knownValues(one, mirror.get(key))
    const { changed, held } = differenceOf(delivery.fields, deadBand, values, known)
    const isTold = sent !== null || pending !== null
    if (isGone && !(isTold && hearsOfGone)) plan.forgotten.push(one)
    else if (!isGone && Object.keys(changed).length === 0) {
      plan.settled.push({ key, mark, known, why: held > 0 ? 'held' : 'same' })
    } else if (one.hourWrites >= perRecordHour) plan.aside.push(flapping(one))
    else {
      const id = recordId(delivery, one, isGone ? {} : values)
      const record = { key, id, values, changed, previous: sent, isGone }
      plan.writes.push({ key, mark, attempts, record, values: isGone ? {} : { ...known, ...changed } })
    }
  }
  return plan
}
