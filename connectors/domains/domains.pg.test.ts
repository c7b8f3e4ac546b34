/** The association table against a real database: whatever happens to the CRM's rows, it follows, and writes nothing else. */
import { expect, test } from 'vitest'
import { BudgetBook } from '../../src/connect/budget.ts'
import type { RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { bigint, defineTable, text } from '../../src/define/index.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { domains } from './index.ts'

const companies = defineTable({
  name: 'crm.companies',
  key: 'id',
  columns: { id: bigint().notNull(), domain: text(), website: text() },
})

test('companies have the domain they state, or else the one of their website, and none when they are gone', async () => {
  await using database = await createTestDatabase('domains')
  const connector = domains({ companies })
  const [stream] = connector.streams
  if (stream === undefined) throw new Error('no stream')
  const log = { info: () => undefined, warn: () => undefined }
  const run: RunConnectorOptions = { pool: database.pool, connector, signal: new AbortController().signal, log }
  await prepareConnector(run)
  await database.query(`create schema crm; create table crm.companies (id bigint primary key, domain text, website text);
    insert into crm.companies values (1, 'a.example', 'https://b.example'), (2, null, 'https://www.B.example/x'),
      (3, null, null), (4, 'n/a', 'linkedin.com/company/x')`)
  const pass = () => runPass(run, stream, new BudgetBook())
  const rows = async () =>
    (await database.query('select company_id, domain from web.company_domains order by company_id')).rows
  await pass()
  expect(await rows()).toEqual([
    { company_id: 1n, domain: 'a.example' },
    { company_id: 2n, domain: 'b.example' },
    { company_id: 3n, domain: null },
    { company_id: 4n, domain: null },
  ])
  expect(await pass()).toEqual({ written: 0, rejected: 0 })
  await database.query(`delete from crm.companies where id = 1; update crm.companies set domain = 'c.example' where id = 3;
    insert into crm.companies select id, 'many.example' from generate_series(10, 2509) id`)
  expect((await pass()).written).toBe(1 + 1 + 1 + 2_500 + 1)
  expect((await rows()).slice(0, 3)).toEqual([
    { company_id: 2n, domain: 'b.example' },
    { company_id: 3n, domain: 'c.example' },
    { company_id: 4n, domain: null },
  ])
  expect((await database.query('select domain from web.domains order by 1')).rows.map(({ domain }) => domain)).toEqual([
    'a.example',
    'b.example',
    'c.example',
    'many.example',
  ])
})
