/**
 * Holds the TypeScript features against their Python twins over real companies, by hand:
 *   python models/training/dump.py /tmp/frame.json && node models/training/check-parity.ts /tmp/frame.json
 * Exits 1 and lists the first differences when any value differs by more than 1e-9. It evaluates aggregates itself, so
 * that neither the engine nor a database stands between the two definitions.
 */
import { readFileSync } from 'node:fs'
import * as company from '../../features/company.ts'
import type { AnyFeature, AnyInput } from '../../src/define/index.ts'

type Row = Readonly<Record<string, string | number | boolean | null>>
interface Case {
  readonly id: number
  readonly date: string
  readonly columns: Row
  readonly history: readonly Row[]
  readonly features: Row
}

function aggregate(input: Extract<AnyInput, { input: 'aggregate' }>, history: readonly Row[]): unknown {
  const { operation, where } = input
  const rows = history.filter((row) => Object.entries(where).every(([column, value]) => row[column] === value))
  if (operation.op === 'count') return rows.length
  if (operation.op === 'top') {
    const at = (row: Row) => Number(row[operation.orderBy])
    return rows.toSorted((a, b) => at(b) - at(a)).slice(0, operation.limit)
  }
  if (operation.op === 'min' || operation.op === 'max') {
    const values = rows.map((row) => Number(row[operation.column]))
    return values.length === 0 ? null : values.reduce((a, b) => Math[operation.op === 'min' ? 'min' : 'max'](a, b))
  }
  throw new Error(`Aggregate ${operation.op} is not used by the features compared here.`)
}

function inputValue(input: AnyInput, from: Case): unknown {
  if (input.input === 'column') return from.columns[input.column] ?? null
  if (input.input === 'aggregate') return aggregate(input, from.history)
  if (input.input !== 'feature')
    throw new Error(`A model of the past has no use for ${input.input}, which knows today.`)
  const inputs = Object.entries(input.inputs).map(([alias, each]) => [alias, inputValue(each, from)] as const)
  return input.compute(Object.fromEntries(inputs))
}

function differs(ours: unknown, theirs: unknown): boolean {
  if (typeof ours === 'number' && typeof theirs === 'number') return Math.abs(ours - theirs) > 1e-9
  return ours !== theirs
}

const path = process.argv[2]
if (path === undefined) throw new Error('Usage: node models/training/check-parity.ts FRAME.json')
const cases: readonly Case[] = JSON.parse(readFileSync(path, 'utf8'))
const features: AnyFeature[] = Object.values(company).flatMap((value) =>
  typeof value === 'object' && 'compute' in value ? [value] : [],
)
let compared = 0
const differences: string[] = []
for (const each of cases) {
  for (const feature of features.filter(({ name }) => name in each.features)) {
    const [ours, theirs] = [inputValue(feature, each), each.features[feature.name]]
    compared += 1
    if (differs(ours, theirs))
      differences.push(`${each.id} ${each.date} ${feature.name}: ${ours} here, ${theirs} in Python`)
  }
}
const missing = Object.keys(cases[0]?.features ?? {}).filter((name) => !features.some((each) => each.name === name))
differences.push(...missing.map((name) => `${name} is known to Python only`))
process.stdout.write(`${compared} values of ${cases.length} companies compared, ${differences.length} differ\n`)
for (const difference of differences.slice(0, 20)) process.stdout.write(`${difference}\n`)
process.exitCode = differences.length === 0 && compared > 0 ? 0 : 1
