import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import { RescoreError } from '../../errors.ts'
import { kafkaError } from './errors.ts'

const protocol = (type: string) =>
  new kafkajs.KafkaJSProtocolError(Object.assign(new Error('words'), { type, code: 1 }))
const gaveUp = (cause: Error) => Object.assign(new kafkajs.KafkaJSNonRetriableError(cause), { cause })

test.each([
  ['UNKNOWN_TOPIC_OR_PARTITION', 'LOG_KAFKA_UNKNOWN_TOPIC', 'stop'],
  ['MESSAGE_TOO_LARGE', 'LOG_KAFKA_TOO_LARGE', 'stop'],
  ['TOPIC_AUTHORIZATION_FAILED', 'LOG_KAFKA_DENIED', 'stop'],
  ['NOT_ENOUGH_REPLICAS', 'LOG_KAFKA_REPLICAS', 'retry'],
  ['NOT_LEADER_FOR_PARTITION', 'LOG_KAFKA_UNREACHABLE', 'retry'],
  ['REBALANCE_IN_PROGRESS', 'LOG_KAFKA_REBALANCE', 'retry'],
  ['OFFSET_OUT_OF_RANGE', 'LOG_KAFKA_RECORDS_GONE', 'stop'],
] as const)('%s, alone or wrapped, is %s (%s)', (type, code, fate) => {
  for (const error of [protocol(type), gaveUp(protocol(type))]) {
    expect(kafkaError(error, 'publishing')).toMatchObject({ code, fate, message: expect.stringContaining(type) })
  }
})

test('what stands for several errors is known by its parts', () => {
  const refused = Object.assign(new Error('Topic creation errors'), { errors: [protocol('POLICY_VIOLATION')] })
  expect(kafkaError(refused, 'creating topics')).toMatchObject({ code: 'LOG_KAFKA_REFUSED', fate: 'stop' })
})

test('an error of ours inside one of theirs comes out as it went in', () => {
  const own = new RescoreError({ code: 'LOG_KAFKA_TOKEN', fate: 'retry', message: 'm', mend: 'd' })
  expect(kafkaError(gaveUp(own), 'connecting')).toBe(own)
})

test('an unknown error is repeated, unless its library calls it final', () => {
  expect(kafkaError(new Error('odd'), 'reading')).toMatchObject({ code: 'LOG_KAFKA_FAILED', fate: 'retry' })
  expect(kafkaError(new kafkajs.KafkaJSNonRetriableError('odd'), 'reading').fate).toBe('stop')
})
