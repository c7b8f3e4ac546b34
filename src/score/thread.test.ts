/** The inference thread may end in any way at any time: callers are told to repeat, and the next call has a new thread. */
import { readFile } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { pair } from '../../test/support/models/pair/model.ts'
import type { Artifact, ThreadData } from './messages.ts'
import { InferenceThread, type InferenceThreadOptions } from './thread.ts'

async function artifact(): Promise<Artifact> {
  const bytes = new Uint8Array(await readFile(new URL('model.onnx', pair.folder)))
  return { bytes, inputName: 'features', outputName: 'probabilities' }
}

/** Two rows: busy with sigmoid(0), and as busy as three visits make it. */
const rows = () => Float32Array.of(0, 2, 0, 0, 3, 0)

async function threadWith(options: Partial<InferenceThreadOptions> = {}) {
  const spawned: Worker[] = []
  const spawn = (data: ThreadData) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: data })
    spawned.push(worker)
    return worker
  }
  const thread = new InferenceThread({ artifacts: [await artifact()], spawn, ...options })
  return { thread, spawned }
}

test('a thread that dies while it computes rejects with fate retry, and the next call starts another', async () => {
  const { thread, spawned } = await threadWith()
  await using _ = thread
  await thread.start()
  const many = 200_000
  const asked = thread.run(0, new Float32Array(many * 3), many)
  const outcome = expect(asked).rejects.toMatchObject({ code: 'MODEL_WORKER_DIED', fate: 'retry' })
  await spawned[0]?.terminate()
  await outcome
  const { output, width } = await thread.run(0, rows(), 2)
  expect(width).toBe(2)
  expect(output[1]).toBeCloseTo(0.5, 6)
  expect(spawned).toHaveLength(2)
})

test('a thread that dies while nobody asks is replaced without an error', async () => {
  const { thread, spawned } = await threadWith()
  await using _ = thread
  await thread.run(0, rows(), 2)
  await spawned[0]?.terminate()
  await expect(thread.run(0, rows(), 2)).resolves.toMatchObject({ width: 2 })
  expect(spawned).toHaveLength(2)
})

test('a thread that cannot start says so with fate retry', async () => {
  const spawn = () => new Worker('throw new Error("no memory left")', { eval: true })
  const { thread } = await threadWith({ spawn })
  await using _ = thread
  await expect(thread.start()).rejects.toMatchObject({
    code: 'MODEL_WORKER_DIED',
    fate: 'retry',
    message: expect.stringContaining('no memory left'),
  })
})

test('a thread that does not answer is given up with fate retry', async () => {
  const spawn = () => new Worker('setInterval(() => undefined, 1_000)', { eval: true })
  const { thread } = await threadWith({ spawn, timeoutMs: 50 })
  await using _ = thread
  await expect(thread.start()).rejects.toMatchObject({ code: 'MODEL_TIMED_OUT', fate: 'retry' })
})

test('requests are answered one at a time and in turn, and no more than a bounded number may wait', async () => {
  const { thread, spawned } = await threadWith()
  await using _ = thread
  const asked = Array.from({ length: 70 }, () => thread.run(0, rows(), 2))
  const outcomes = await Promise.allSettled(asked)
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason.code)
  expect(refused).toEqual(Array(6).fill('MODEL_BUSY'))
  expect(spawned).toHaveLength(1)
})

test('closing rejects what is being computed and what waits, and nothing is started afterwards', async () => {
  const { thread, spawned } = await threadWith()
  await thread.start()
  const asked = [thread.run(0, new Float32Array(600_000), 200_000), thread.run(0, rows(), 2)]
  const outcomes = Promise.allSettled(asked)
  // Its turn has come: the first request is with the thread.
  await Promise.resolve()
  await thread.close()
  expect((await outcomes).map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual([
    'MODEL_CLOSED',
    'MODEL_CLOSED',
  ])
  await expect(thread.run(0, rows(), 2)).rejects.toMatchObject({ code: 'MODEL_CLOSED' })
  expect(spawned).toHaveLength(1)
})

test('the event loop turns while the thread computes', async () => {
  const { thread } = await threadWith()
  await using _ = thread
  await thread.start()
  let turns = 0
  let isDone = false
  const turning = (async () => {
    while (!isDone) {
      await new Promise(setImmediate)
      turns += 1
    }
  })()
  await thread.run(0, new Float32Array(900_000), 300_000)
  isDone = true
  await turning
  expect(turns).toBeGreaterThan(10)
})
