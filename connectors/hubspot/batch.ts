/**
 * How much a load lands in one transaction: few commits, yet bounded memory and little to repeat after a crash.
 * The first page is a batch of its own, so that the first rows show at once.
 */
import type { Message } from '../../src/define/index.ts'

const MOST_MESSAGES = 3_000
const MOST_CHARACTERS = 8 * 1024 * 1024

export class Batch {
  #messages = 0
  #characters = 0
  #first = true

  add(message: Message<never>): void {
    this.#messages += 1
    if (message.op !== 'upsert') return
    for (const value of Object.values(message.row)) if (typeof value === 'string') this.#characters += value.length
  }

  /** Too much to hold until the page ends. */
  get overfull(): boolean {
    return this.#characters > MOST_CHARACTERS
  }

  /** Worth a commit at the end of a page. */
  get full(): boolean {
    return this.#first || this.#messages >= MOST_MESSAGES || this.overfull
  }

  landed(): void {
    this.#first = false
    this.#messages = 0
    this.#characters = 0
  }
}
