/** What a measurement is: a name, what it needs, and figures that go to the output as they are. */
import type { BenchContext } from './context.ts'

export type Figures = Readonly<Record<string, unknown>>

export interface Skipped {
  readonly skipped: string
}

export interface Measurement {
  /** As `--only` takes it, and the key of its figures. */
  readonly name: string
  run(context: BenchContext): Promise<Figures>
}
