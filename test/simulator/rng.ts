/** Randomness from a seed: the same seed gives the same portal, the same lags, the same identifiers. */

export interface Random {
  /** 0 (inclusive) to 1 (exclusive). */
  next(): number
  /** Whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number
  pick<T>(items: readonly [T, ...T[]]): T
  chance(probability: number): boolean
  uuid(): string
  /** In place. */
  shuffle(items: unknown[]): void
}

/** 32 bits from any number of parts (FNV-1a, then mixed). */
export function hash32(...parts: readonly (string | number)[]): number {
  let hash = 0x811c9dc5
  for (const part of parts) {
    for (const character of `${part}\n`) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** mulberry32 */
export function randomFrom(...seed: readonly (string | number)[]): Random {
  let state = hash32(...seed)
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const whole = (low: number, high: number) => low + Math.floor(next() * (high - low + 1))
  return {
    next,
    whole,
    pick: (items) => items[whole(0, items.length - 1)] ?? items[0],
    chance: (probability) => next() < probability,
    shuffle: (items) => {
      for (let at = items.length - 1; at > 0; at -= 1) {
        const other = whole(0, at)
        ;[items[at], items[other]] = [items[other], items[at]]
      }
    },
    uuid: () => {
      const digits = Array.from({ length: 32 }, () => whole(0, 15).toString(16)).join('')
      return [
        digits.slice(0, 8),
        digits.slice(8, 12),
        `4${digits.slice(13, 16)}`,
        `${(8 + whole(0, 3)).toString(16)}${digits.slice(17, 20)}`,
        digits.slice(20),
      ].join('-')
    },
  }
}
