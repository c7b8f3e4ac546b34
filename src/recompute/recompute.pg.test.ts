/** Random changes to a small CRM: after every batch the stored features are those a plain in-memory oracle computes. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  companies,
  companyContacts,
  contacts,
  dealContacts,
  deals,
  graph,
  lines,
  notes,
  tables,
} from '../../test/recompute/crm.ts'
import { openHarness } from '../../test/recompute/harness.ts'
import { expectedFeatures, readTables } from '../../test/recompute/oracle.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { quoteIdent, quoteTable } from '../db/pool.ts'
import { type ColumnKind, columnOf, type Table } from '../define/index.ts'

const LITERALS: Readonly<Record<ColumnKind, readonly string[]>> = {
  text: ['a', 'b', 'É', 'Z', "o'b", '', 'x\\"y', '😀'],
  integer: ['0', '1', '2', '-7', '2147483647'],
  bigint: ['0', '1', '9007199254740993', '-5', '9223372036854775807'],
  number: ['0', '1', '1.00', '0.75', '2', '-3.10'],
  decimal: ['0', '1', '1.00', '1.50', '20', '-3.10'],
  float: ['0', '0.1', '0.2', '0.3', '1e16', '-1e16', '3.5'],
  boolean: ['true', 'false'],
  date: ['2024-02-29', '2024-03-01', '1999-12-31'],
  timestamp: [
    '1970-01-01 00:00:00.0015+00',
    '2024-05-01 10:00:00.123456+00',
    '2024-05-01 10:00:00+00',
    '1960-01-01 00:00:00.000001+00',
  ],
  uuid: [
    '0b0e7a1c-0000-4000-8000-000000000001',
    'ffffffff-0000-4000-8000-00000000000a',
    '0b0e7a1c-0000-4000-8000-000000000002',
  ],
  json: ['{"a":[1,null]}', '"text"', 'null', '1.5'],
}

const KEYS: Readonly<Record<string, readonly string[]>> = {
  'companies.id': ['1', '2', '3'],
  'deals.id': ['1', '2', '3', '4'],
  'deals.company_id': ['1', '2', '3', '9223372036854775807'],
  'lines.deal_id': ['1', '2', '3', '4'],
  'lines.item': ['a', 'B', 'é'],
  'contacts.id': ['x', 'Y', 'é'],
  'company_contacts.company_id': ['1', '2', '3'],
  'company_contacts.contact_id': ['x', 'Y', 'é'],
  'company_contacts.label': ['boss', 'owner', 'other'],
  'deal_contacts.deal_id': ['1', '2', '3', '4'],
  'deal_contacts.contact_id': ['x', 'Y', 'é'],
  'notes.id': ['1', '2', '3'],
  'notes.contact_id': ['x', 'Y', 'é'],
}

interface Operation {
  readonly table: Table
  readonly isDelete: boolean
  readonly row: Readonly<Record<string, string | null>>
}

function operation(table: Table): fc.Arbitrary<Operation> {
  const cell = (name: string) => {
    const values = KEYS[`${table.name}.${name}`] ?? LITERALS[columnOf(table, name).kind]
    const known = fc.constantFrom(...values)
    return columnOf(table, name).nullable ? fc.option(known, { freq: 6 }) : known
  }
  const row = fc.record(Object.fromEntries(Object.keys(table.columns).map((name) => [name, cell(name)])))
  return fc.record({ table: fc.constant(table), isDelete: fc.boolean(), row })
}

const operations = fc.oneof(
  { weight: 3, arbitrary: operation(companies) },
  { weight: 6, arbitrary: operation(deals) },
  { weight: 3, arbitrary: operation(lines) },
  { weight: 3, arbitrary: operation(contacts) },
  { weight: 4, arbitrary: operation(companyContacts) },
  { weight: 4, arbitrary: operation(dealContacts) },
  { weight: 3, arbitrary: operation(notes) },
)

/** Every second operation of a batch may delete: enough to see rows come back, few enough that tables fill. */
function statement({ table, isDelete, row }: Operation, mayDelete: boolean): { sql: string; values: unknown[] } {
  const names = Object.keys(table.columns)
  if (isDelete && mayDelete) {
    const condition = table.key.map((name, index) => `${quoteIdent(name)} = $${index + 1}`).join(' and ')
    return { sql: `delete from ${quoteTable(table.id)} where ${condition}`, values: table.key.map((name) => row[name]) }
  }
  const columns = names.map(quoteIdent)
  const sets = columns.map((name) => `${name} = excluded.${name}`).join(', ')
  return {
    sql: `insert into ${quoteTable(table.id)} (${columns.join(', ')}) values (${names.map((_, i) => `$${i + 1}`).join(', ')})
      on conflict (${table.key.map(quoteIdent).join(', ')}) do update set ${sets}`,
    values: names.map((name) => row[name]),
  }
}

const batches = fc.array(fc.array(operations, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 10 })

/** Every run starts from something to move, shrink and take apart. */
const SEED = `
  insert into app.companies (id, n) values (1, 10), (2, 20);
  insert into app.deals (id, company_id, n, num, flo, word) values (1, 1, 1, 0.75, 0.1, 'a'), (2, 2, 2, 2, 0.2, 'b'), (3, 1, 3, null, 0.3, null);
  insert into app.lines (deal_id, item, n) values (1, 'a', 1), (2, 'B', 2), (3, 'é', 3);
  insert into app.contacts (id, word, n) values ('x', 'a', 1), ('Y', 'b', 2);
  insert into app.company_contacts (company_id, contact_id, label) values (1, 'x', 'boss'), (1, 'x', 'other'), (2, 'Y', 'owner');
  insert into app.deal_contacts (deal_id, contact_id, n) values (1, 'Y', 1), (2, 'x', 0);
  insert into app.notes (id, contact_id, n) values (1, 'x', 5), (2, 'Y', 7)`

test('after every batch the stored features are what all rows in memory give, and a repeat writes nothing', async () => {
  await using db = await createTestDatabase('recompute')
  const harness = await openHarness(db, graph, { tables })
  const node = graph.entities.get('company')
  if (node === undefined) throw new Error('no entity')
  const expectTrue = async () =>
    expect(await harness.stored()).toEqual(expectedFeatures(node, await readTables(db.pool, tables)))
  await fc.assert(
    fc.asyncProperty(batches, async (steps) => {
      await db.query(`truncate ${tables.map(({ id }) => id).join(', ')}, rescore.features_company`)
      await db.query(SEED)
      await harness.sweep()
      await expectTrue()
      for (const step of steps) {
        const changes = []
        for (const [index, each] of step.entries()) {
          const { sql, values } = statement(each, index % 2 === 1)
          changes.push(...(await harness.exec(sql, values)))
        }
        await harness.apply(changes)
        await expectTrue()
        const { written } = harness.stage.counters
        await harness.apply(changes)
        expect(harness.stage.counters.written).toBe(written)
      }
    }),
    { numRuns: 40 },
  )
  const { computed, needed } = harness.stage.counters
  expect(computed).toBe(needed)
  const { rows } = await db.query('select count(*)::integer as n from rescore.quarantine')
  expect(rows).toEqual([{ n: 0 }])
})
