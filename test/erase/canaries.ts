import { expect } from 'vitest'
import type { ProjectConfig } from '../../src/define/index.ts'
import { notCovered } from '../../src/erase/elsewhere.ts'
import type { Erasing } from '../../src/erase/erase.ts'
import { subjectOf } from '../../src/erase/subject.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { startService } from '../../src/service.ts'
import { eventually } from '../support/eventually.ts'
import type { TestDatabase } from '../support/pg.ts'
import {
  CANARY,
  companies,
  contacts,
  employment,
  history,
  KEY,
  type MemorySource,
  projectOf,
  type SourceMessage,
} from './setting.ts'

export const { signal } = new AbortController()

export function erasing(db: TestDatabase, config: ProjectConfig, what = 'company', key = KEY): Erasing {
  const subject = subjectOf(what, compileGraph(config), config)
  return {
    pool: db.pool,
    subject,
    key,
    askedBy: 'the data protection officer',
    signal,
    timeoutMs: 60_000,
    elsewhere: async () => ({ topics: [], notCovered: notCovered(subject, []) }),
  }
}

export const neighbours: readonly SourceMessage[] = [
  { op: 'upsert', table: companies, row: { id: 1, name: 'one', domain: 'one.example' } },
  { op: 'upsert', table: contacts, row: { id: 7, email: 'seven@one.example', age: 30 } },
  { op: 'edge', table: employment, from: { company_id: 1 }, to: { contact_id: 7 } },
]
export const ofCanary: readonly SourceMessage[] = [
  { op: 'upsert', table: companies, row: { id: KEY, name: CANARY, domain: `${CANARY}.example`, odd: CANARY } },
  { op: 'edge', table: employment, from: { company_id: KEY }, to: { contact_id: 7 }, label: CANARY },
  { op: 'upsert', table: history, row: { id: 'h1', company_id: KEY, was: CANARY } },
]

export async function running(
  db: TestDatabase,
  source: MemorySource,
  faults?: { hit(point: string): Promise<void> | void },
) {
  const stopping = new AbortController()
  const logged: string[] = []
  const log = (fields: object, message: string) => void logged.push(JSON.stringify({ fields, message }))
  const service = await startService({
    url: db.url,
    config: projectOf(source),
    slot: `erase_${db.name}`,
    publication: 'erase',
    signal: stopping.signal,
    log: { info: log, warn: log },
    strict: true,
    ...(faults === undefined ? {} : { faults }),
  })
  return {
    logged,
    [Symbol.asyncDispose]: async () => {
      stopping.abort(new Error('The test is over.'))
      await service.done
    },
  }
}

export async function landed(db: TestDatabase, id: string): Promise<void> {
  await eventually(async () => {
    const { rows } = await db.query('select 1 from rescore.features_company where key = $1', [id])
    expect(rows).toHaveLength(1)
  })
}

/** Places that need faults, webhooks, models or Kafka to fill by themselves, filled by hand. */
export async function plantCanaries({ query }: TestDatabase): Promise<void> {
  const record = Buffer.from(JSON.stringify({ before: null, after: { id: Number(KEY), name: CANARY }, op: 'c' }))
  const key = Buffer.from(JSON.stringify({ id: Number(KEY) }))
  await query(
    `insert into rescore.reject (connector, stream, source_table, key, raw, code, reason) values
      ('crm', 'companies', 'crm.companies', $1, $2, 'X', $3), ('crm', 'companies', 'crm.history', 'h9', $4, 'X', 'other')`,
    [
      KEY,
      JSON.stringify({ id: KEY, name: CANARY }),
      CANARY,
      JSON.stringify({ id: 'h9', company_id: KEY, was: CANARY }),
    ],
  )
  await query(`insert into rescore.alias (source_table, old_key, new_key) values ('crm.companies', '99', $1)`, [KEY])
  await query(`insert into rescore.listed values ('crm.companies', 'all', jsonb_build_array($1::bigint))`, [KEY])
  await query(`insert into rescore.wake_up (connector, stream, key, mark) values ('crm', 'companies', $1, 1)`, [KEY])
  await query(
    `insert into rescore.connector_memory (connector, stream, name, value) values ('crm', 'domains', $1, 'etag')`,
    [`${CANARY}.example`],
  )
  await query(
    `insert into rescore.connector_memory (connector, stream, name, value) values ('crm', 'companies', $1, $2)`,
    [`etag:${KEY}`, CANARY],
  )
  await query('insert into web.domains values ($1, $2)', [`${CANARY}.example`, CANARY])
  await query(
    `insert into rescore.quarantine (entity, key, feature, code, reason, epoch) values ('company', $1, 'f', 'X', $2, 1)`,
    [KEY, CANARY],
  )
  await query(
    `insert into rescore.violation (entity, key, feature, rule, effect, otherwise, value)
     values ('company', $1, 'f', 'oneOf', 'held', 'block', to_json($2::text))`,
    [KEY, CANARY],
  )
  await query(
    `insert into rescore.classification (model, key, entity, label, probability, probabilities, model_version, artifact_hash, fingerprint, features_lsn, snap_lsn)
     values ('m', $1, 'company', $2, 0.5, '{0.5}', '1', 'a', 'f', '0/0', '0/0')`,
    [KEY, CANARY],
  )
  await query(
    `insert into rescore.classification_history (model, entity, key, op, to_label, model_version, artifact_hash, features_lsn)
     values ('m', 'company', $1, 'insert', $2, '1', 'a', '0/0')`,
    [KEY, CANARY],
  )
  await query(
    `insert into rescore.feature_base (entity, key, id, steps, epoch, snap_lsn, valid_at, recorded_at)
     values ('company', $1, 0, $2, 1, '0/0', '2020-01-01', '2020-01-01')`,
    [KEY, JSON.stringify([{ op: 'insert', valid_at: '2020-01-01', recorded_at: '2020-01-01', values: { f: CANARY } }])],
  )
  await query(
    `insert into rescore.classification_base
       (entity, key, model, id, label, probability, model_version, artifact_hash, features_lsn, scored_at)
     values ('company', $1, 'm', 0, $2, 0.5, '1', 'a', '0/0', '2020-01-01')`,
    [KEY, CANARY],
  )
  await query(`insert into rescore.computed values ('company 0123456789abcdef', $1, $2)`, [KEY, CANARY])
  await query(`insert into rescore.delivery_due (entity, key) values ('company', $1)`, [KEY])
  await query(
    `insert into rescore.unpublished (topic, partition, lsn, index, key, value, code, reason) values
      ('rescore.crm.companies', 0, '0/1', 0, $1, $2, 'X', 'large'), ('rescore.crm.companies', 0, '0/1', 1, $1, null, 'X', 'large')`,
    [key, record],
  )
  await query(
    `insert into rescore.dead_letter (stage, topic, partition, record_offset, key, value, code, reason)
     values ('recompute', 'rescore.crm.companies', 0, 1, $1, $2, 'X', 'odd')`,
    [key, record],
  )
  await query(
    `update rescore.feature_history set causes = $1, cause_count = 2 where entity = 'contact' and key = '7'`,
    [
      JSON.stringify([
        {
          table: 'crm.companies',
          key: KEY,
          op: 'update',
          column: 'name',
          from: CANARY,
          to: 'b',
          lsn: '0/1',
          committedAtMs: 1,
        },
        {
          table: 'crm.contacts',
          key: '7',
          op: 'update',
          column: 'email',
          from: 'kept',
          to: 'too',
          lsn: '0/1',
          committedAtMs: 1,
        },
      ]),
    ],
  )
}
