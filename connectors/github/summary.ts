/** What a list of repositories says of their organisation. Pure. */
import { z } from 'zod'
import { SourceError } from '../../src/define/index.ts'

const count = z.number().catch(0)
const time = z.string().nullable().catch(null)
const repositories = z.array(
  z.looseObject({
    stargazers_count: count,
    forks_count: count,
    open_issues_count: count,
    language: z.string().nullable().catch(null),
    pushed_at: time,
    created_at: time,
  }),
)

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)

/** ISO times of one form and zone order as text. */
const newest = (times: readonly (string | null)[]) =>
  times.reduce((last, one) => (one !== null && (last === null || one > last) ? one : last), null)

/** The one that is named most often, the first of the alphabet among equals. */
function mostNamed(names: readonly (string | null)[]): string | null {
  const counts = new Map<string, number>()
  for (const name of names) if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1)
  const [first] = [...counts].sort(([a, left], [b, right]) => right - left || (a < b ? -1 : 1))
  return first?.[0] ?? null
}

/** @throws SourceError transient when it is no list of repositories */
export function summaryOf(body: unknown) {
  const { success, data } = repositories.safeParse(body)
  if (!success) {
    throw new SourceError({
      kind: 'transient',
      code: 'CONNECT_NO_LIST',
      message: 'GitHub answered something that is no list of repositories.',
      mend: 'It is repeated by itself. If it lasts, check the base URL of the connector.',
    })
  }
  return {
    repositories: data.length,
    stars: sum(data.map(({ stargazers_count }) => stargazers_count)),
    forks: sum(data.map(({ forks_count }) => forks_count)),
    open_issues: sum(data.map(({ open_issues_count }) => open_issues_count)),
    language: mostNamed(data.map(({ language }) => language)),
    last_push_at: newest(data.map(({ pushed_at }) => pushed_at)),
    newest_at: newest(data.map(({ created_at }) => created_at)),
  }
}
