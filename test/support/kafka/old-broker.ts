/**
 * A broker that says, when asked as the doctor asks, that it speaks Produce up to version 2 only, as Kafka 0.10 did.
 * Real in everything else: its address leads to a real broker, which tells its clients that address.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { type BrokerOptions, freePort, type KafkaBroker, startBroker } from './broker.ts'

const API_VERSIONS = 18

/** Correlation id 1, no error, one call: Produce, versions 0 to 2. */
const ANSWER = Buffer.from([0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2])

/** kafkajs begins with a newer version of the question, so only the doctor's own begins with version 0. */
function isDoctors(question: Buffer): boolean {
  return question.length >= 8 && question.readInt16BE(4) === API_VERSIONS && question.readInt16BE(6) === 0
}

export async function startOldBroker(options: BrokerOptions = {}): Promise<KafkaBroker> {
  const port = await freePort()
  const front = createServer((socket) => {
    socket.once('data', (first: Buffer) => {
      if (isDoctors(first)) {
        socket.end(ANSWER)
        return
      }
      const real = connect(port, '127.0.0.1')
      real.write(first)
      socket.pipe(real).pipe(socket)
      real.on('error', () => socket.destroy())
      socket.on('close', () => real.destroy())
    })
    socket.on('error', () => socket.destroy())
  }).listen(0, '127.0.0.1')
  await once(front, 'listening')
  const { port: frontPort } = front.address() as AddressInfo
  const settings = { ...options.settings, 'advertised.listeners': `PLAINTEXT://127.0.0.1:${frontPort}` }
  const broker = await startBroker({ ...options, port, settings })
  const end = broker[Symbol.asyncDispose].bind(broker)
  return Object.assign(broker, {
    [Symbol.asyncDispose]: async () => {
      await end()
      front.close()
    },
  })
}
