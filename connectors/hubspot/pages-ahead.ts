/**
 * Pages of a list, the next ones being fetched while those before are landed: the network and the database work at the
 * same time. A transaction takes several pages, so one page ahead would leave the network idle while it lands.
 *
 * Invariants: pages come in order, each asked for only after the one before has told where it begins; at most `AHEAD`
 * wait, so memory stays bounded and a crash repeats that many reads. A failure is thrown where its page would come.
 */

/** Pages with histories are large: four took 50 MB more. */
const AHEAD = 2

/** @param fetch what comes after `after`; null: from the start, and null as `next`: the end */
export async function* pagesAhead<P extends { readonly next: string | null }>(
  first: string | null,
  fetch: (after: string | null) => Promise<P>,
): AsyncGenerator<P, void, void> {
  const waiting: Promise<P>[] = []
  let left = false
  const ask = (after: string | null) => {
    const page = fetch(after)
    waiting.push(page)
    page.then(more, () => undefined)
  }
  // The chain stops at a full buffer, and whoever takes a page sets it going again.
  let resume: string | null = null
  const more = ({ next }: P) => {
    if (left || next === null) return
    if (waiting.length < AHEAD) ask(next)
    else resume = next
  }
  ask(first)
  try {
    for (let coming = waiting[0]; coming !== undefined; coming = waiting[0]) {
      const page = await coming
      void waiting.shift()
      if (resume !== null) {
        const after = resume
        resume = null
        ask(after)
      }
      yield page
    }
  } finally {
    left = true
  }
}
