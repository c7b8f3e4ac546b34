/**
 * A queue with access by place. Invariants: taking from the front costs the same at any length (Array.shift moves all
 * the rest once an array is large), and what was taken is no longer held.
 */
const COMPACT_FROM = 1_024

export class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  /** The item at a place counted from the front. */
  at(place: number): T | undefined {
    return this.#items[this.#head + place]
  }

  push(item: T): void {
    this.#items.push(item)
  }

  slice(from: number, count: number): T[] {
    return this.#items.slice(this.#head + from, this.#head + from + count).filter((item) => item !== undefined)
  }

  drop(count: number): void {
    const end = Math.min(this.#head + count, this.#items.length)
    this.#items.fill(undefined, this.#head, end)
    this.#head = end
    if (this.#head >= COMPACT_FROM && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
  }
}
