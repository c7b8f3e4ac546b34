/**
 * Which partitions a consumer's group has given it, told as it changes.
 *
 * Invariant: `null` from the moment the consumer is known to be out of its group until it has joined again; while the
 * group is only shared out anew, the last word stands. Nothing here decides what is read: it is for people and probes.
 */
import type { Consumer } from 'kafkajs'
import type { Source } from '../log.ts'

/** `null`: not in the group. */
export type OnMembership = (group: string, assigned: readonly Source[] | null) => void

export function watchMembership(consumer: Consumer, told: (assigned: readonly Source[] | null) => void): void {
  const { events } = consumer
  consumer.on(events.GROUP_JOIN, ({ payload }) => {
    const assigned = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    )
    told(assigned)
  })
  for (const event of [events.CRASH, events.STOP, events.DISCONNECT] as const) {
    consumer.on(event, () => told(null))
  }
}
