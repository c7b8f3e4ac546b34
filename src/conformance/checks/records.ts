/** Checks of what happens to records at the source: changes under the reader's hands, ties, ends of life, odd ones. */
import { readState } from '../../connect/state.ts'
import { streamOf } from '../../connect/streams.ts'
import { asError } from '../../errors.ts'
import type { Bench } from '../bench.ts'
import { type Check, fail, notApplicable, pass, whole } from '../check.ts'

const EDITS = 40
const MANY = 10_050

const movesWhileRead: Check = {
  name: 'records that change while pages are read',
  async run(open) {
    await using bench = await open()
    const { fixture, proxy } = bench
    if (fixture.change === undefined) return notApplicable('records of this source never change')
    await fixture.create((bench.spec.pageSize ?? 100) * 4)
    let edits = 0
    proxy.onAnswered = async () => {
      edits += 1
      if (edits > EDITS) return
      fixture.clock.advance(1)
      await fixture.change?.(2)
      if (edits % 3 === 0) await fixture.remove?.(1)
      if (edits % 5 === 0) await fixture.create(1)
    }
    await bench.settle()
    const made = Math.min(edits, EDITS)
    proxy.onAnswered = undefined
    // One that makes few calls has not heard of the last edit yet.
    if (made < EDITS) await bench.settle()
    return whole(bench, `${made} edits between calls`)
  },
}

function ties(name: string, count: (bench: Bench) => number): Check {
  return {
    name,
    async run(open) {
      await using bench = await open()
      const { fixture } = bench
      await fixture.create(2, { sameInstant: true })
      await bench.process().settle()
      // Once more at one instant, half of it before and half after the connector has looked.
      const half = Math.ceil(count(bench) / 2)
      await fixture.create(half, { sameInstant: true })
      const process = bench.process()
      await process.round()
      await fixture.create(half, { sameInstant: true })
      await process.settle()
      return whole(bench, `${2 * half} records of one instant`)
    },
  }
}

type Deed = 'remove' | 'restore' | 'merge'

/** Makes deeds one after the other, each read before the next. */
function endOfLife(name: string, deeds: readonly Deed[], without: string): Check {
  return {
    name,
    async run(open) {
      await using bench = await open()
      await bench.settle()
      for (const deed of deeds) {
        const act = bench.fixture[deed]
        if (act === undefined) return notApplicable(without)
        await act.call(bench.fixture, 3)
        await bench.settle()
        const wrong = await bench.wrong()
        if (wrong !== null) return fail(`after ${deed}: ${wrong}`)
      }
      return pass(deeds.join(', then '))
    },
  }
}

const erases: Check = {
  name: 'a record erased for privacy is nowhere',
  async run(open) {
    await using bench = await open()
    await bench.settle()
    const key = await bench.fixture.erase?.()
    if (key === undefined) return notApplicable('this source knows no erasure for privacy')
    await bench.settle()
    const { rows } = await bench.pool.query<{ where: string }>(
      `select 'rescore.reject' as where from rescore.reject where key = $1
       union all select 'rescore.alias' from rescore.alias where old_key = $1 or new_key = $1`,
      [key],
    )
    const [left] = rows
    return left === undefined ? whole(bench, `key ${key}`) : fail(`still in ${left.where}`)
  },
}

const poison: Check = {
  name: 'one poison record is set aside alone',
  async run(open) {
    await using bench = await open()
    if (bench.fixture.poison === undefined) return notApplicable('no record of this source can be one')
    await bench.fixture.poison()
    await bench.settle()
    const rejects = await bench.rejects()
    const [only, second] = rejects
    if (only === undefined) return fail('nothing was set aside')
    return second === undefined ? whole(bench, `set aside: ${only}`) : fail(`${rejects.length} rejects: ${second}`)
  },
}

const oddValues: Check = {
  name: 'NUL, emoji, a megabyte and 2^53 + 1 arrive',
  async run(open) {
    await using bench = await open()
    if (bench.fixture.oddValues === undefined) return notApplicable('no field of this source can hold them')
    await bench.fixture.oddValues()
    await bench.settle()
    const rejects = await bench.rejects()
    return rejects[0] === undefined ? whole(bench, 'as they are') : fail(`${rejects.length} rejects: ${rejects[0]}`)
  },
}

const earlierState: Check = {
  name: 'a state of the version before is read on',
  async run(open) {
    await using bench = await open()
    const { earlierStates } = bench.spec
    const streams = bench.connector().streams.map(streamOf)
    if (streams.every(({ state }) => state.version === 1)) return notApplicable('every stream is at its first version')
    if (earlierStates === undefined) return fail('a stream is beyond version 1, but the spec gives no earlierStates')
    await bench.settle()
    for (const [stream, { version, state }] of Object.entries(earlierStates)) {
      await bench.pool.query('update rescore.connector_state set version = $2, state = $3 where stream = $1', [
        stream,
        version,
        JSON.stringify(state),
      ])
    }
    await bench.fixture.create(3)
    await bench.settle()
    return whole(bench, Object.keys(earlierStates).join(', '))
  },
}

const laterState: Check = {
  name: 'a state of a later version is refused, not restarted',
  async run(open) {
    await using bench = await open()
    await bench.settle()
    await bench.pool.query('update rescore.connector_state set version = version + 1')
    const { connector } = bench.process()
    for (const stream of connector.streams.map(streamOf)) {
      const { rowCount } = await bench.pool.query('select from rescore.connector_state where stream = $1', [
        stream.name,
      ])
      if (rowCount === 0) continue
      const error = await readState(bench.pool, connector.name, stream).then(() => null, asError)
      if (error === null) return fail(`stream ${stream.name} took it`)
    }
    return pass('every stream refused it')
  },
}

const hasDeletes = 'this source never says that a record is gone'

export const RECORDS: readonly Check[] = [
  movesWhileRead,
  ties('ties larger than a page', ({ spec }) => (spec.pageSize ?? 100) * 3),
  ties('ties of more than 10,000', () => MANY),
  endOfLife('a deleted record goes', ['remove'], hasDeletes),
  endOfLife('a restored record comes back', ['remove', 'restore'], 'this source restores nothing'),
  endOfLife('a merged record lives on as another', ['merge'], 'this source merges nothing'),
  erases,
  poison,
  oddValues,
  earlierState,
  laterState,
]
