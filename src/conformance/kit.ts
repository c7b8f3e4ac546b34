/**
 * The conformance kit: proves a connector against a fixture, one named line for each thing that must hold.
 *
 * ```ts
 * const lines = await runConformance({ name: 'acme', connector, fixture }, { pool })
 * ```
 * Invariant: a check that throws has failed, with what it threw; one that does not apply says why; none is left out
 * silently. `pool` is a migrated database of the kit's own (its name begins with `rescore_conformance`): it is emptied.
 */
import type { Pool } from '../db/pool.ts'
import { asError } from '../errors.ts'
import { Bench } from './bench.ts'
import { type Check, fail, notApplicable, type Outcome, type Result } from './check.ts'
import { RECORDS } from './checks/records.ts'
import { RUNNING } from './checks/running.ts'
import { WIRE } from './checks/wire.ts'
import type { ConformanceSpec } from './fixture.ts'

export const CHECKS: readonly Check[] = [...RUNNING, ...WIRE, ...RECORDS]

export interface Line extends Outcome {
  readonly connector: string
  readonly check: string
  readonly tookMs: number
}

export interface KitOptions {
  readonly pool: Pool
  /** Names, or parts of names, of the checks to make. Default: all. */
  readonly only?: readonly string[]
  readonly onLine?: (line: Line) => void
  readonly signal?: AbortSignal
}

async function outcomeOf(check: Check, spec: ConformanceSpec, pool: Pool): Promise<Outcome> {
  const reason = spec.notApplicable?.[check.name]
  if (reason !== undefined) return notApplicable(reason)
  try {
    return await check.run(() => Bench.open(pool, spec))
  } catch (thrown) {
    return fail(asError(thrown).message)
  }
}

export async function runConformance(spec: ConformanceSpec, options: KitOptions): Promise<readonly Line[]> {
  const { pool, only, onLine, signal } = options
  const lines: Line[] = []
  for (const check of CHECKS) {
    signal?.throwIfAborted()
    if (only?.every((part) => !check.name.includes(part)) === true) continue
    const started = performance.now()
    const outcome = await outcomeOf(check, spec, pool)
    const line = { connector: spec.name, check: check.name, ...outcome, tookMs: performance.now() - started }
    lines.push(line)
    onLine?.(line)
  }
  return lines
}

const MARK: Readonly<Record<Result, string>> = { pass: 'pass', fail: 'FAIL', 'not applicable': 'n/a ' }

export function lineText({ result, check, seen }: Line): string {
  return `${MARK[result]}  ${check}: ${seen}`
}
