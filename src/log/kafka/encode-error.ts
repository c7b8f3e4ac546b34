/** The one error of a stream that is not what the protocol says, on the way into Kafka. */
import { RescoreError } from '../../errors.ts'

export function corruptMessage(what: string): RescoreError {
  return new RescoreError({
    code: 'CAPTURE_DECODE',
    fate: 'stop',
    message: `The replication stream holds ${what}.`,
    mend: 'This is a bug or a newer protocol: keep the slot, report the message, and run the version before.',
  })
}
