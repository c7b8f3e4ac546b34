/**
 * What the workers that share the stage have computed already: the changes of one transaction reach several of them, in
 * as many partitions as its rows are spread over, and each would compute the same features again.
 *
 * Per entity it is kept in which snapshot which features were computed. What a transaction fed is done when it was
 * visible in that snapshot: whoever computed the feature then has read all that the transaction wrote. Invariants: noted
 * in the transaction that computes, while the key is held, with a snapshot taken before anything was read, so a note is
 * never ahead of the row; what is not known is computed. It is looked at twice, before a key is held, because what is
 * done needs no lock, and after, because the one who held it may have done it.
 *
 * Only memory of work: the table is unlogged, empty after a crash of the server, and emptied where transaction ids may
 * be those of another server. Nothing of it is written for stages that are not shared.
 */
import { createHash } from 'node:crypto'
import type { Client, Queryable } from '../db/pool.ts'
import { isPlanted } from '../faults.ts'
import { fullXid, isVisible, parseSnapshot, type Snapshot } from '../log/visibility.ts'
import type { Dirty } from './affected.ts'
import { textArray } from './literals.ts'
import type { Outcome } from './outcome.ts'
import type { Program } from './program.ts'

/** More are merged away: then something is computed once more than it had to be. */
const MAX_NOTES = 4

/** `snapshot bits`, bits as hex digits. */
type Note = readonly [snapshot: string, bits: bigint]

export type Entities = readonly (readonly [key: string, dirty: Dirty | null])[]

function parseNotes(text: string): readonly Note[] {
  return text.split('|').map((note): Note => {
    const [snapshot = '', bits = '0'] = note.split(' ')
    return [snapshot, BigInt(`0x${bits}`)]
  })
}

function printNotes(notes: readonly Note[]): string {
  return notes.map(([snapshot, bits]) => `${snapshot} ${bits.toString(16)}`).join('|')
}

/** Of what is dirty: computed in a snapshot that showed every transaction that fed it. */
function doneOf(dirty: Dirty, notes: readonly Note[], { after }: Snapshot): bigint {
  let done = dirty.bits
  const known = notes.map(([snapshot, bits]) => ({ snapshot: parseSnapshot(snapshot), bits }))
  for (const { xid, bits } of dirty.marks) {
    // Its 64 bits by what is current: a note may be older than half of all ids.
    const full = fullXid(xid, after)
    let seen = 0n
    for (const note of known) if (xid !== 0 && isVisible(note.snapshot, full)) seen |= note.bits
    done &= ~(bits & ~seen)
  }
  return done
}

/** Bits mean features by their order: other features, other notes. */
function nameOf({ node }: Program): string {
  const names = node.features.map(({ feature }) => feature.name).join(' ')
  return `${node.entity.name} ${createHash('sha256').update(names).digest('hex').slice(0, 16)}`
}

/** A look at the notes. */
export interface Look {
  /** What is still to be computed. */
  readonly left: Entities
  /** Taken before anything else that the caller reads. */
  readonly snapshot: string
  readonly notes: ReadonlyMap<string, readonly Note[]>
}

export class ComputedBefore {
  readonly #name: string

  constructor(program: Program) {
    this.#name = nameOf(program)
  }

  /** Takes what is done out of what is dirty. */
  async look(client: Client, entities: Entities): Promise<Look> {
    const { rows } = await client.query<{ snapshot: string; key: string | null; notes: string | null }>({
      name: 'rescore-computed-before',
      text: `select s::text as snapshot, c.key, c.notes from pg_current_snapshot() s
        left join rescore.computed c on c.program = $1 and c.key = any($2::text[])`,
      values: [this.#name, textArray(entities.map(([key]) => key))],
    })
    const snapshot = rows[0]?.snapshot ?? ''
    const now = parseSnapshot(snapshot)
    const notes = new Map<string, readonly Note[]>()
    for (const row of rows) if (row.key !== null && row.notes !== null) notes.set(row.key, parseNotes(row.notes))
    const left = entities.filter(([key, dirty]) => {
      const known = notes.get(key)
      if (dirty === null || known === undefined) return true
      dirty.done |= doneOf(dirty, known, now)
      if (isPlanted('computed-again')) return true
      dirty.bits &= ~dirty.done
      return dirty.bits !== 0n
    })
    return { left, snapshot, notes }
  }

  /** Notes what was computed after `look`, and forgets entities that are gone. */
  async note(client: Client, { snapshot, notes }: Look, outcomes: readonly Outcome[]): Promise<void> {
    const computed = outcomes.filter((outcome) => outcome.computed !== null && outcome.dirty !== null)
    const gone = outcomes.filter(({ row, computed: found }) => found === null && notes.has(row.key))
    if (computed.length > 0) {
      const texts = computed.map(({ row, dirty }) => {
        const bits = dirty?.bits ?? 0n
        const older = (notes.get(row.key) ?? []).map(([at, known]): Note => [at, known & ~bits])
        const all: readonly Note[] = [[snapshot, bits], ...older.filter(([, known]) => known !== 0n)]
        return printNotes(all.slice(0, MAX_NOTES))
      })
      await client.query({
        name: 'rescore-computed-note',
        text: `insert into rescore.computed (program, key, notes)
          select $1, u.* from unnest($2::text[], $3::text[]) as u order by 2
          on conflict (program, key) do update set notes = excluded.notes`,
        values: [this.#name, textArray(computed.map(({ row }) => row.key)), textArray(texts)],
      })
    }
    if (gone.length > 0) {
      await client.query({
        name: 'rescore-computed-forget',
        text: 'delete from rescore.computed where program = $1 and key = any($2::text[])',
        values: [this.#name, textArray(gone.map(({ row }) => row.key))],
      })
    }
  }
}

/** Of definitions that are no longer deployed. */
export async function forgetOthers(database: Queryable, programs: readonly Program[]): Promise<void> {
  await database.query('delete from rescore.computed where program <> all($1::text[])', [
    textArray(programs.map(nameOf)),
  ])
}
