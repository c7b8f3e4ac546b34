/**
 * A value that is used but never shown: printing, logging, inspecting or serialising it gives `[hidden]`.
 * Invariant: only `reveal()` gives the value, so every place that does is found by its name.
 */
import { inspect } from 'node:util'

const HIDDEN = '[hidden]'

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return HIDDEN
  }

  toJSON(): string {
    return HIDDEN
  }

  [inspect.custom](): string {
    return HIDDEN
  }
}
