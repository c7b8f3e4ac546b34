/**
 * What was taken of a partition at once, and what it means for what the partition vouches for.
 * Invariant: pure.
 */
import type { RescoreError } from '../../errors.ts'
import type { Barrier, Batch, Entry, Source } from '../log.ts'
import type { Position } from '../position.ts'
import type { Stage } from '../stage.ts'
import type { Reflected } from '../stage-position.ts'
import type { KafkaRecord } from './decode.ts'
import type { Withheld } from './positions.ts'
import { readHop } from './positions-reflected.ts'

const MAX_WITHHELD = 8

export interface Taken {
  readonly entries: readonly Entry[]
  readonly letters: readonly { readonly record: KafkaRecord; readonly error: RescoreError }[]
  readonly end: Position
  readonly nextOffset: bigint
  readonly lastAtMs: number
}

export function batchOf({ entries, end, lastAtMs }: Taken, source: Source): Batch {
  const xids = [...new Set(entries.map(({ xid }) => xid))]
  return { source, entries, end, committedAtMs: lastAtMs, xids }
}

/** What the partition vouches for after these records; null when they add nothing that anyone waits for. */
export function saidBy<Work>({ upstream }: Stage<Work>, { entries, end, lastAtMs }: Taken): Reflected | null {
  if (upstream === null) {
    const isAwaited = (entry: Entry) => entry.kind === 'change' || readHop(entry.content) === null
    return end.lsn > 0n && entries.some(isAwaited) ? { lsn: end.lsn - 1n, atMs: lastAtMs } : null
  }
  const hops = entries
    .filter((entry): entry is Barrier => entry.kind === 'barrier')
    .flatMap(({ content }) => readHop(content) ?? [])
    .filter(({ stage }) => stage === upstream)
  return hops.at(-1)?.reflected ?? null
}

export function withhold(withheld: readonly Withheld[], fromLsn: bigint, untilLsn: bigint): readonly Withheld[] {
  const last = withheld.at(-1)
  if (last === undefined || withheld.length < MAX_WITHHELD) return [...withheld, { fromLsn, untilLsn }]
  return [...withheld.slice(0, -1), { fromLsn: last.fromLsn, untilLsn }]
}

export function firstLsn({ entries, end }: Taken): bigint {
  return entries[0]?.position.lsn ?? end.lsn
}
