/**
 * The ranks of some domains out of the text of a list (`1,google.com` a line).
 * Invariant: holds the lines that are wanted and the one it is at; a list that is shorter than it must be, or is none, is a
 * transient failure, so a download that broke off never says that a domain has no rank.
 */
import { SourceError } from '../../src/define/index.ts'

/** Of the lines asked for, at least so many must come. */
const ENOUGH = 0.9
const LINE = /^(\d{1,9}),([^,\s]+)$/

function bad(what: string): SourceError {
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_BAD_BODY',
    message: `The list of ranks ${what}.`,
    mend: 'It is read again by itself. If it lasts, check the base URL: something else may answer there.',
  })
}

/**
 * @param chunks the text, cut anywhere
 * @param length lines that were asked for
 * @throws SourceError transient
 */
export async function ranksOf(
  chunks: AsyncIterable<string>,
  wanted: ReadonlySet<string>,
  length: number,
): Promise<ReadonlyMap<string, number>> {
  const ranks = new Map<string, number>()
  let lines = 0
  const take = (line: string) => {
    if (line === '') return
    lines += 1
    const [, rank, domain] = LINE.exec(line) ?? []
    if (rank === undefined || domain === undefined) throw bad(`has a line ${lines} that is none`)
    if (Number(rank) !== lines) throw bad(`does not count on at line ${lines}`)
    if (wanted.has(domain)) ranks.set(domain, lines)
  }
  let held = ''
  for await (const chunk of chunks) {
    const text = held + chunk
    let from = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      take(text.slice(from, text[end - 1] === '\r' ? end - 1 : end))
      from = end + 1
    }
    held = text.slice(from)
    if (held.length > 1_000) throw bad('has a line that is too long')
  }
  take(held)
  if (lines < length * ENOUGH) throw bad(`ends after ${lines} of ${length} lines`)
  return ranks
}
