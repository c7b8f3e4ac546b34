/**
 * Text that PostgreSQL itself printed for a value that a column can hold: landed as it is, digit for digit, NaN, infinity
 * and years before Christ included.
 * Invariant: made only where the type of the source column is one the declared kind takes every value of.
 */
export class ExactText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toJSON(): string {
    return this.text
  }

  toString(): string {
    return this.text
  }
}
