/** Budgets on a clock of one's own that never really wait: every wait moves the clock by what it would have been. */
import { BudgetBook } from '../connect/budget.ts'

export interface MovableClock {
  now(): number
  advance(ms: number): void
}

export function jumpingBudgets(clock: MovableClock): BudgetBook {
  return new BudgetBook({
    now: () => clock.now(),
    schedule: (wake, ms) => {
      const soon = setImmediate(() => {
        clock.advance(Math.ceil(ms))
        wake()
      })
      return () => clearImmediate(soon)
    },
  })
}
