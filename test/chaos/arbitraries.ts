/**
 * Random actions of the chaos workload, skewed so that one key is hot and rare things stay rare.
 * One generator for both uses: fast-check shrinks them in the property test, the crash tests sample a list from a seed.
 */
import fc from 'fast-check'
import { POISON } from '../support/project-features.ts'
import { contactKey, FILLED } from '../support/project-sql.ts'
import {
  type Action,
  type Bulk,
  inLane,
  type Label,
  type Step,
  type TableName,
  type Transaction,
  type Values,
} from './actions.ts'

const HOT = 1

/** Keys beyond the filled ones are inserted, and may be missing. */
function keyOf(table: TableName): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(HOT) },
    { weight: 7, arbitrary: fc.integer({ min: 1, max: FILLED[table] + 6 }) },
  )
}

const companyText = fc.oneof(
  { weight: 9, arbitrary: keyOf('company').map(String) },
  { weight: 1, arbitrary: fc.constant(null) },
)
const contactText = fc.oneof(
  { weight: 9, arbitrary: keyOf('contact').map(contactKey) },
  { weight: 1, arbitrary: fc.constant(null) },
)
const dealText = fc.oneof(
  { weight: 9, arbitrary: keyOf('deal').map(String) },
  { weight: 1, arbitrary: fc.constant(null) },
)

function orNull(arbitrary: fc.Arbitrary<string>): fc.Arbitrary<string | null> {
  return fc.oneof({ weight: 6, arbitrary }, { weight: 1, arbitrary: fc.constant(null) })
}

const text = orNull(
  fc.constantFrom('', 'a', 'B', 'Ärger', '🦊 fox', "it's", '"quoted"', 'a\\b', '{x,y}', 'NULL', 'line\nbreak', '\t'),
)
const longText = orNull(fc.integer({ min: 0, max: 9 }).map((n) => `${n} long `.repeat(n * 120)))
const whole = (max: number) => orNull(fc.integer({ min: -3, max }).map(String))
const exact = orNull(
  fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: -40, max: 40 }).map((n) => (n / 10).toFixed(2)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('12345678901234567.89', '-0.10', '1e-7', '0.300000000000000004', '5.0', '5'),
    },
  ),
)
const real = orNull(fc.constantFrom('0.1', '0.2', '0.3', '-0', '1e16', '-1e16', '3.3333333333333335', '1e-300'))
const flag = orNull(fc.constantFrom('true', 'false'))
const moment = orNull(
  fc
    .tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 2 }))
    .map(([day, micros]) => `2026-01-${String(1 + day).padStart(2, '0')}T00:00:00.00000${micros}Z`),
)
const day = orNull(fc.integer({ min: 1, max: 9 }).map((n) => `2026-01-0${n}`))
const name = fc.oneof({ weight: 8, arbitrary: text }, { weight: 1, arbitrary: fc.constant(`${POISON} name`) })

const COLUMNS: Readonly<Record<TableName, Readonly<Record<string, fc.Arbitrary<string | null>>>>> = {
  company: { name, employees: whole(120), revenue: exact, is_partner: flag, about: longText, founded_at: moment },
  contact: { company_id: companyText, email: text, score: whole(10), is_active: flag, seen_at: moment },
  event: {
    contact_id: contactText,
    kind: orNull(fc.constantFrom('visit', 'call', 'mail')),
    weight: real,
    happened_at: moment,
  },
  deal: {
    name: text,
    amount: exact,
    stage: orNull(fc.constantFrom('won', 'lost', 'open')),
    closed_on: day,
    terms: longText,
  },
  item: { deal_id: dealText, quantity: whole(9) },
  note: { company_id: companyText, stars: whole(8) },
}

const table = fc.constantFrom<TableName>(
  'company',
  'contact',
  'contact',
  'event',
  'event',
  'deal',
  'deal',
  'item',
  'note',
)
const allOf = (of: TableName): fc.Arbitrary<Values> => fc.record(COLUMNS[of])
/** One or two columns: the others, long texts among them, stay as they are. */
const someOf = (of: TableName): fc.Arbitrary<Values> =>
  fc
    .subarray(Object.keys(COLUMNS[of]), { minLength: 1, maxLength: 2 })
    .chain((names) => fc.record(Object.fromEntries(names.map((column) => [column, COLUMNS[of][column] ?? text]))))

const label = fc.constantFrom<Label>('primary', 'other')
const link = { deal: keyOf('deal'), company: keyOf('company') }

const insert = table.chain((of) =>
  fc.record({ op: fc.constant('insert' as const), table: fc.constant(of), key: keyOf(of), values: allOf(of) }),
)
const update = table.chain((of) =>
  fc.record({ op: fc.constant('update' as const), table: fc.constant(of), key: keyOf(of), values: someOf(of) }),
)
const same = table.chain((of) =>
  fc.record({ op: fc.constant('same' as const), table: fc.constant(of), key: keyOf(of) }),
)
const remove = table.chain((of) =>
  fc.record({ op: fc.constant('delete' as const), table: fc.constant(of), key: keyOf(of) }),
)
const rekey = table.chain((of) =>
  fc.record({ op: fc.constant('rekey' as const), table: fc.constant(of), key: keyOf(of), to: keyOf(of) }),
)

/** What can stand in any transaction, also one that overlaps others. */
const plainStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: update },
  { weight: 4, arbitrary: insert },
  { weight: 2, arbitrary: remove },
  { weight: 1, arbitrary: same },
  { weight: 1, arbitrary: rekey },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('link' as const, 'unlink' as const), ...link, label }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('relink' as const), ...link, to: keyOf('company') }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('relabel' as const), ...link, label }) },
)
const undone: fc.Arbitrary<Step> = fc.record({
  op: fc.constant('undone' as const),
  steps: fc.array(plainStep, { minLength: 1, maxLength: 3 }),
})
const step = fc.oneof({ weight: 12, arbitrary: plainStep }, { weight: 1, arbitrary: undone })

const end = fc.oneof(
  { weight: 9, arbitrary: fc.constant('commit' as const) },
  { weight: 1, arbitrary: fc.constant('rollback' as const) },
)
const transaction: fc.Arbitrary<Transaction> = fc.record({ steps: fc.array(step, { minLength: 1, maxLength: 5 }), end })

function committed(...groups: readonly (readonly Step[])[]): Action {
  return { kind: 'transactions', transactions: groups.map((steps) => ({ steps, end: 'commit' })) }
}

const single: fc.Arbitrary<Action> = transaction.map((one) => ({ kind: 'transactions', transactions: [one] }))

const overlapping: fc.Arbitrary<Action> = fc.array(transaction, { minLength: 2, maxLength: 3 }).map((transactions) => ({
  kind: 'overlapping',
  transactions: transactions.map(({ steps, end }, lane) => ({
    steps: steps.map((one) => inLane(one, lane, transactions.length)),
    end,
  })),
}))

/** To another value and back, in one transaction or in three. */
const thereAndBack: fc.Arbitrary<Action> = fc.tuple(table, fc.boolean()).chain(([of, isOne]) =>
  fc.record({ key: keyOf(of), there: allOf(of), away: someOf(of) }).map(({ key, there, away }) => {
    const steps: Step[] = [
      { op: 'update', table: of, key, values: there },
      { op: 'update', table: of, key, values: away },
      { op: 'update', table: of, key, values: there },
    ]
    return isOne ? committed(steps) : committed(...steps.map((one) => [one]))
  }),
)

/** Deleted and inserted again under the same key, in one transaction or in two. */
const reinserted: fc.Arbitrary<Action> = fc.tuple(table, fc.boolean()).chain(([of, isOne]) =>
  fc.record({ key: keyOf(of), values: allOf(of) }).map(({ key, values }) => {
    const gone: Step = { op: 'delete', table: of, key }
    const back: Step = { op: 'insert', table: of, key, values }
    return isOne ? committed([gone, back]) : committed([gone], [back])
  }),
)

const bulk: fc.Arbitrary<Action> = fc
  .record({
    op: fc.constant('bulk' as const),
    bulk: fc.constantFrom<Bulk>(
      'insert events',
      'move events',
      'delete events',
      'touch contacts',
      'move contacts',
      'stage deals',
    ),
    by: fc.integer({ min: 1, max: 6 }),
  })
  .map((one) => committed([one]))

const truncate: fc.Arbitrary<Action> = fc
  .constantFrom('note' as const, 'item' as const)
  .map((of) => committed([{ op: 'truncate', table: of }]))

export const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 20, arbitrary: single },
  { weight: 6, arbitrary: overlapping },
  { weight: 4, arbitrary: thereAndBack },
  { weight: 4, arbitrary: reinserted },
  { weight: 3, arbitrary: fc.constant<Action>({ kind: 'calm' }) },
  { weight: 2, arbitrary: bulk },
  { weight: 1, arbitrary: truncate },
)

/** The same list for the same seed. */
export function actionsFrom(seed: number, count: number): readonly Action[] {
  return fc.sample(actions, { seed, numRuns: count })
}
