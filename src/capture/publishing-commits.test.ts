import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PendingCommits } from './publishing-commits.ts'

test('a commit is finished exactly when its round and every round before it are done', () => {
  const steps = fc.array(fc.record({ grows: fc.nat(2), done: fc.nat(3) }), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (drawn) => {
      const commits = new PendingCommits()
      const all: { readonly endLsn: bigint; readonly round: number }[] = []
      let [round, done] = [0, 0]
      for (const step of drawn) {
        round += step.grows
        done = Math.min(round, done + step.done)
        all.push({ endLsn: BigInt(all.length + 1), round })
        commits.add(BigInt(all.length), round)
        const finished = all.filter((each) => each.round <= done).at(-1)?.endLsn ?? 0n
        expect(commits.finished(done)).toBe(finished)
        expect(commits.isEmpty).toBe(finished === BigInt(all.length))
      }
    }),
  )
})
