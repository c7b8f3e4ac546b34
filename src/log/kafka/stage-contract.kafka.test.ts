/** Kafka and the members behind it, against what every log owes its stages. */
import { describeKafka } from '../../../test/support/kafka/kafka.ts'
import { openMembers } from '../../../test/support/kafka/members.ts'
import { barrierRecord, rowRecord } from '../../../test/support/kafka/records.ts'
import { describeStageContract } from '../../../test/support/stage-contract.ts'

describeKafka('Kafka', ({ brokers }) => {
  describeStageContract('Kafka', async () => {
    const setting = await openMembers(brokers)
    return {
      pool: setting.db.pool,
      append: (lsn, count, id) =>
        setting.publish(Array.from({ length: count }, (_, index) => rowRecord(lsn, index, id ?? `${lsn}.${index}`))),
      barrier: (lsn) => setting.publishAll(barrierRecord(lsn)),
      start: (stage) => setting.member(stage),
      [Symbol.asyncDispose]: () => setting[Symbol.asyncDispose](),
    }
  })
})
