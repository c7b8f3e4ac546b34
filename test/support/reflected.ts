/**
 * Whether the reflected position is ever ahead of the rows, asked while load runs: read it, then the rows, and every entity
 * whose last change is at or below it must show that change or a newer one, in its features and in its classification.
 *
 * On the embedded log a batch is computed in one snapshot, so a row is a state that its entity was in. Workers that share a
 * stage read each input in a snapshot of its own: there each input must be that new, and may be newer than another.
 *
 * Each entity has one writer, so the order of its changes is known. A change is noted before it is made, and its LSN after
 * its commit: what is not noted yet may be seen, and is never asked for.
 */

import { sleep } from '../../src/db/backoff.ts'
import { formatLsn, parseLsn } from '../../src/db/lsn.ts'
import { type Pool, withTransaction } from '../../src/db/pool.ts'
import { PATIENCE_MS } from '../chaos/running.ts'

const WRITERS = 2
const OF_EACH = 8
const FIRST = 6_001
/** Leaves the service some of a small machine. */
const PAUSE_MS = 4

interface Note {
  /** As the feature `profile` says it. */
  readonly profile: string
  /** As the feature `visits` counts them: only more, and an input of the model. */
  readonly visits: number
  /** At or behind the commit; null: not committed, as far as is known. */
  lsn: bigint | null
}

class Entity {
  readonly id: number
  readonly notes: Note[] = []
  visits = 0
  pieces: number
  founded = 0

  constructor(id: number) {
    this.id = id
    this.pieces = id
  }

  get contact(): string {
    return `reflected ${this.id}`
  }

  note(): Note {
    const { visits } = this
    const note = { profile: `null, ${visits}, ${this.pieces}, ${this.founded * 1_000}`, visits, lsn: null }
    this.notes.push(note)
    return note
  }

  /** The last change that `reflected` vouches for, and those after it. */
  from(reflected: bigint): readonly Note[] {
    const last = this.notes.findLastIndex(({ lsn }) => lsn !== null && lsn <= reflected)
    return last < 0 ? [] : this.notes.slice(last)
  }
}

async function create(pool: Pool): Promise<readonly Entity[]> {
  const entities = Array.from({ length: WRITERS * OF_EACH }, (_, at) => new Entity(FIRST + at))
  await withTransaction(pool, {}, async (client) => {
    for (const { id, contact } of entities) {
      await client.query(`insert into app.company (id, founded_at) values ($1, to_timestamp(0))`, [id])
      await client.query('insert into app.contact (id, company_id) values ($1, $2)', [contact, id])
      await client.query('insert into app.deal (id) values ($1)', [id])
      await client.query(`insert into app.company_deal values ($1, $1, 'reflected')`, [id])
      await client.query('insert into app.item values ($1, $1, $2)', [id, id])
    }
  })
  return entities
}

/** One more event, another founding, or the thing of one company becomes another's: each reaches it by another path. */
function nextChange(turn: number, one: Entity, other: Entity): { sql: string; touched: readonly Entity[] } {
  if (turn % 3 === 0) {
    one.visits += 1
    return {
      sql: `insert into app.event (id, contact_id, kind) values (${one.id * 100_000 + one.visits}, '${one.contact}', 'visit')`,
      touched: [one],
    }
  }
  if (turn % 3 === 1) {
    one.founded += 1
    return {
      sql: `update app.company set founded_at = to_timestamp(${one.founded}) where id = ${one.id}`,
      touched: [one],
    }
  }
  const pieces = one.pieces
  one.pieces = other.pieces
  other.pieces = pieces
  return {
    sql: `update app.item i set deal_id = o.deal_id from app.item o
          where i.deal_id in (${one.id}, ${other.id}) and o.deal_id in (${one.id}, ${other.id}) and i.id <> o.id`,
    touched: [one, other],
  }
}

async function write(pool: Pool, entities: readonly Entity[], stopping: AbortSignal): Promise<void> {
  for (let turn = 0; !stopping.aborted; turn += 1) {
    const one = entities[(turn * 5) % entities.length]
    const other = entities[(turn * 5 + 1 + (turn % (entities.length - 1))) % entities.length]
    if (one === undefined || other === undefined) return
    const { sql, touched } = nextChange(turn, one, other)
    const notes = touched.map((entity) => entity.note())
    await pool.query(sql)
    const { rows } = await pool.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    for (const note of notes) note.lsn = parseLsn(rows[0]?.lsn ?? '')
    await sleep(PAUSE_MS)
  }
}

async function readReflected(pool: Pool): Promise<ReadonlyMap<string, bigint>> {
  const { rows } = await pool.query<{ stage: string; lsn: string }>(
    `select stage, reflected_lsn::text as lsn from rescore.stage_position where topic = ''`,
  )
  return new Map(rows.map(({ stage, lsn }) => [stage, parseLsn(lsn)]))
}

interface Shown {
  readonly profile: string | null
  /** Least number of visits that the stored classification may have been made from. */
  readonly scored: number | null
}

/** The score was made from features at this LSN or later: visits as the history says they were then. */
async function readShown(pool: Pool): Promise<ReadonlyMap<number, Shown>> {
  const { rows } = await pool.query<{ key: bigint; profile: string | null; scored: number | null }>(
    `select f.key, f.profile,
       (select max((h.changed::jsonb->'visits'->>'to')::integer) from rescore.feature_history h
        where h.entity = 'company' and h.key = f.key::text and h.snap_lsn <= c.features_lsn) as scored
     from rescore.features_company f
     left join rescore.classification c on c.key = f.key::text and c.model = 'pair'
     where f.key >= $1 and f.key < $2`,
    [FIRST, FIRST + WRITERS * OF_EACH],
  )
  return new Map(rows.map(({ key, profile, scored }) => [Number(key), { profile, scored }]))
}

function isAmong(profile: string, notes: readonly Note[], isWhole: boolean): boolean {
  if (isWhole) return notes.some((note) => note.profile === profile)
  const parts = notes.map((note) => note.profile.split(', '))
  return profile.split(', ').every((part, at) => parts.some((known) => known[at] === part))
}

function faultsOf(
  entity: Entity,
  shown: Shown | undefined,
  reflected: ReadonlyMap<string, bigint>,
  isWhole: boolean,
): readonly string[] {
  const [recomputed, scored] = [reflected.get('recompute') ?? 0n, reflected.get('score') ?? 0n]
  const features = entity.from(recomputed)
  const [last] = entity.from(scored)
  const faults: string[] = []
  if (features.length > 0 && !isAmong(shown?.profile ?? '', features, isWhole)) {
    faults.push(
      `${entity.id} at ${formatLsn(recomputed)} shows '${shown?.profile}', older than '${features[0]?.profile}'`,
    )
  }
  if (last !== undefined && (shown?.scored ?? -1) < last.visits) {
    faults.push(`${entity.id} at ${formatLsn(scored)} is scored with ${shown?.scored} visits of ${last.visits}`)
  }
  return faults
}

export interface Outcome {
  /** In words. */
  readonly faults: readonly string[]
  /** Different positions that were looked at. */
  readonly positions: number
}

export interface Look {
  /** As many different positions are looked at; fewer when a fault is found, or only patience ends it. */
  readonly positions: number
  /** A row is a state that its entity was in. */
  readonly isWhole: boolean
}

export async function lookWhileLoadRuns(pool: Pool, { positions: wanted, isWhole }: Look): Promise<Outcome> {
  const entities = await create(pool)
  const stopping = new AbortController()
  const parts = Array.from({ length: WRITERS }, (_, writer) =>
    write(pool, entities.slice(writer * OF_EACH, (writer + 1) * OF_EACH), stopping.signal),
  )
  const writing = Promise.all(parts)
  const faults: string[] = []
  const positions = new Set<string>()
  const deadline = performance.now() + PATIENCE_MS
  try {
    while (faults.length === 0 && positions.size < wanted && performance.now() < deadline) {
      const reflected = await readReflected(pool)
      const shown = await readShown(pool)
      for (const entity of entities) faults.push(...faultsOf(entity, shown.get(entity.id), reflected, isWhole))
      positions.add([...reflected.values()].join(' '))
      await Promise.race([sleep(1), writing])
    }
  } finally {
    stopping.abort()
    await writing
  }
  return { faults, positions: positions.size }
}
