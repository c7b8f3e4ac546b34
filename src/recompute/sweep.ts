/**
 * Catching up on rows that no change will wake: never computed, computed under old definitions, or left over.
 *
 * Invariant: it is over only when one whole pass, begun after the last row was made stale, has found nothing. So a piece
 * whose transaction failed, or a crash (which starts a new pass), leaves nothing out. A piece scans and computes a
 * bounded number of rows. Entities put aside under the present definitions are passed over until a change wakes them.
 */
import { type Client, quoteIdent, quoteTable } from '../db/pool.ts'
import type { Program } from './program.ts'
import { statement } from './statement.ts'

/**
 * Rows looked at by one piece, all of which may have to be recomputed: had it to leave some, it would look at them again.
 * A change that comes meanwhile waits for the piece: about a third of a second.
 */
const SCAN = 2_500

export type Phase = 'missing' | 'orphans' | 'orphaned-quarantine'
const PHASES: readonly Phase[] = ['missing', 'orphans', 'orphaned-quarantine']

export interface Piece {
  /** Keys to recompute. */
  readonly keys: readonly string[]
  /** Where the next piece of this phase starts; null: the phase is through. */
  readonly next: string | null
}

function phaseSql({ node, keyType }: Program, phase: Phase): string {
  const key = quoteIdent(node.key)
  const own = quoteTable(node.entity.table.id)
  const features = quoteTable(node.featureTable)
  const aside = `rescore.quarantine q where q.entity = '${node.entity.name}'`
  if (phase === 'orphaned-quarantine') {
    return `with scanned as (select q.key from ${aside} and ($1::text is null or q.key > $1) and $2::integer >= 0
        order by q.key limit ${SCAN})
      select (select count(*)::integer from scanned) as count,
        (select s.key from scanned s order by s.key desc limit 1) as last,
        array(select key from scanned s where not exists (select from ${own} e where e.${key}::text = s.key)
          order by key) as keys`
  }
  const [source, column, wanted] =
    phase === 'orphans'
      ? [features, 'key', `not exists (select from ${own} e where e.${key} = s.key)`]
      : [
          own,
          key,
          `not exists (select from ${features} f where f.key = s.key and f.epoch >= $2)
           and not exists (select from ${aside} and q.key = s.key::text and q.epoch >= $2)`,
        ]
  return `with scanned as (select t.${column} as key from ${source} t
      where ($1::text is null or t.${column} > $1::text::${keyType}) and $2::integer >= 0
      order by t.${column} limit ${SCAN})
    select (select count(*)::integer from scanned) as count,
      (select s.key::text from scanned s order by s.key desc limit 1) as last,
      array(select s.key::text from scanned s where ${wanted} order by s.key) as keys`
}

async function nextPiece(client: Client, program: Program, phase: Phase, after: string | null, epoch: number) {
  const { rows } = await client.query<{ count: number; last: string | null; keys: readonly string[] }>({
    ...statement('sweep', phaseSql(program, phase)),
    values: [after, epoch],
  })
  const { count, last, keys } = rows[0] ?? { count: 0, last: null, keys: [] }
  return { keys, next: count < SCAN ? null : last }
}

interface Place {
  readonly entity: number
  readonly phase: number
  readonly after: string | null
}

const BEGIN: Place = { entity: 0, phase: 0, after: null }

/** Walks all entities, all phases, in passes. */
export class Sweeper {
  readonly #programs: readonly Program[]
  #place = BEGIN
  #hasFound = false

  constructor(programs: readonly Program[]) {
    this.#programs = programs
  }

  /** Rows were made stale: what the present pass has seen so far says nothing about them. */
  restart(): void {
    this.#place = BEGIN
    this.#hasFound = false
  }

  /**
   * One piece: recomputes what it finds. Returns whether anything may be left.
   * @param epochOf current epoch of an entity
   */
  async piece(
    client: Client,
    epochOf: (entity: string) => number,
    recompute: (program: Program, keys: readonly string[]) => Promise<void>,
  ): Promise<boolean> {
    const program = this.#programs[this.#place.entity]
    const phase = PHASES[this.#place.phase]
    if (program !== undefined && phase !== undefined) {
      const epoch = epochOf(program.node.entity.name)
      const { keys, next } = await nextPiece(client, program, phase, this.#place.after, epoch)
      if (keys.length > 0) {
        this.#hasFound = true
        await recompute(program, keys)
      }
      this.#place = this.#after(next)
    }
    if (this.#place.entity < this.#programs.length) return true
    const isClean = !this.#hasFound
    this.restart()
    return !isClean
  }

  #after(next: string | null): Place {
    const { entity, phase } = this.#place
    if (next !== null) return { entity, phase, after: next }
    if (phase + 1 < PHASES.length) return { entity, phase: phase + 1, after: null }
    return { entity: entity + 1, phase: 0, after: null }
  }
}
