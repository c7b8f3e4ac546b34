import { expect, test } from 'vitest'
import { NO_STAMP, ProducerIdentity } from './publish-identity.ts'
import type { ProducerAnswer, ProduceWire } from './publish-wire.ts'

/** A broker that gives identities, one higher each time. */
class Giver implements ProduceWire {
  given = 0
  readonly #errorCode: number

  constructor(errorCode = 0) {
    this.#errorCode = errorCode
  }

  async initProducer(): Promise<ProducerAnswer> {
    this.given += 1
    return { errorCode: this.#errorCode, producerId: BigInt(this.given), epoch: 0 }
  }

  partitionCounts = async () => new Map<string, number>()
  leaderOf = () => null
  refresh = async () => undefined
  produce = async () => []
  close = async () => undefined
}

const always = () => true

test('a batch keeps its numbers until it is acknowledged, each partition counts by itself', async () => {
  const [giver, identity] = [new Giver(), new ProducerIdentity()]
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await identity.ensure(giver, always)
    expect(identity.stamp(4)).toEqual({ producerId: 1n, epoch: 0, sequence: 0 })
  }
  identity.acknowledged(4, 10)
  identity.acknowledged(4, 5)
  expect([identity.stamp(4).sequence, identity.stamp(5).sequence, giver.given]).toEqual([15, 0, 1])
})

test('numbers go round where Kafka lets them', async () => {
  const identity = new ProducerIdentity()
  await identity.ensure(new Giver(), always)
  identity.acknowledged(0, 2 ** 31 - 1)
  expect(identity.stamp(0).sequence).toBe(2_147_483_647)
  identity.acknowledged(0, 3)
  expect(identity.stamp(0).sequence).toBe(2)
})

test('a broker that does not know the numbers gets a new identity, any other refusal does not', async () => {
  const [giver, identity] = [new Giver(), new ProducerIdentity()]
  await identity.ensure(giver, always)
  identity.acknowledged(0, 7)
  identity.refused(6)
  await identity.ensure(giver, always)
  expect(identity.stamp(0)).toEqual({ producerId: 1n, epoch: 0, sequence: 7 })
  for (const [place, errorCode] of [45, 47, 59].entries()) {
    identity.refused(errorCode)
    await identity.ensure(giver, always)
    expect(identity.stamp(0)).toEqual({ producerId: BigInt(place + 2), epoch: 0, sequence: 0 })
  }
})

test('an answer to an attempt that was given up counts for nothing', async () => {
  const [giver, identity] = [new Giver(), new ProducerIdentity()]
  await identity.ensure(giver, () => false)
  expect(identity.stamp(0)).toEqual(NO_STAMP)
  await identity.ensure(giver, always)
  expect(identity.stamp(0).producerId).toBe(2n)
})

test('where no identity is granted batches go without, and any other refusal is an error', async () => {
  const identity = new ProducerIdentity()
  await identity.ensure(new Giver(31), always)
  identity.acknowledged(0, 4)
  expect(identity.stamp(0)).toEqual(NO_STAMP)
  await expect(new ProducerIdentity().ensure(new Giver(15), always)).rejects.toThrow('code 15')
})

test('a batch the broker has already counts as acknowledged', () => {
  const identity = new ProducerIdentity()
  expect([0, 46, 3].map((code) => identity.isAppended(code))).toEqual([true, true, false])
})
