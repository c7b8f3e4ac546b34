/**
 * Pages of a list, the next one being fetched while the present one is landed: the network and the database work at the
 * same time. Invariant: one page ahead and no more, so memory stays bounded and a crash repeats one page at most.
 */

/** @param fetch what comes after `after`; null: from the start, and null as `next`: the end */
export async function* pagesAhead<P extends { readonly next: string | null }>(
  first: string | null,
  fetch: (after: string | null) => Promise<P>,
): AsyncGenerator<P, void, void> {
  let coming = fetch(first)
  for (;;) {
    const page = await coming
    if (page.next === null) {
      yield page
      return
    }
    coming = fetch(page.next)
    // Its failure is thrown by the await above; if nobody pulls again, it concerns nobody.
    coming.catch(() => undefined)
    yield page
  }
}
