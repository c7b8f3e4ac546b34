/**
 * The inference thread: loads every artifact it was given, then answers one matrix after the other.
 *
 * A thread of its own because the runtime computes synchronously behind its promise and would hold up the event loop.
 * Invariant: one intra-op and one inter-op thread, because with more the last bits of a score depend on scheduling.
 * It opens no file and no connection; when it ends, everything it held is gone and its owner starts another.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Answer, Request, Signature, TensorShape, ThreadData } from './messages.ts'

const OPTIONS: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  executionMode: 'sequential',
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  logSeverityLevel: 4,
}

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

function shapeOf(metadata: InferenceSession.ValueMetadata): TensorShape {
  const { name } = metadata
  if (!metadata.isTensor) return { name, type: 'not a tensor', shape: [] }
  const shape = metadata.shape.map((size) => (typeof size === 'number' && size >= 0 ? size : null))
  return { name, type: metadata.type, shape }
}

async function loadAll(data: ThreadData): Promise<Answer | readonly InferenceSession[]> {
  const sessions: InferenceSession[] = []
  for (const [model, { bytes }] of data.artifacts.entries()) {
    try {
      sessions.push(await InferenceSession.create(bytes, OPTIONS))
    } catch (error) {
      return { kind: 'refused', model, reason: reasonOf(error) }
    }
  }
  return sessions
}

async function infer(data: ThreadData, sessions: readonly InferenceSession[], request: Request): Promise<Answer> {
  const { id, model, matrix, rows } = request
  try {
    const session = sessions[model]
    const names = data.artifacts[model]
    if (session === undefined || names === undefined) throw new RangeError(`There is no model ${model}.`)
    const input = new Tensor('float32', matrix, [rows, matrix.length / rows])
    const results = await session.run({ [names.inputName]: input }, [names.outputName])
    const output = results[names.outputName]
    if (output === undefined || !(output.data instanceof Float32Array)) {
      throw new TypeError(`Output '${names.outputName}' is not a float32 tensor.`)
    }
    return { kind: 'output', id, output: output.data, width: output.data.length / rows }
  } catch (error) {
    return { kind: 'failed', id, reason: reasonOf(error) }
  }
}

async function serve(port: NonNullable<typeof parentPort>, data: ThreadData): Promise<void> {
  const say = (answer: Answer) => port.postMessage(answer)
  const loaded = await loadAll(data)
  if ('kind' in loaded) {
    say(loaded)
    return
  }
  // The owner sends the next request only after the answer to the one before.
  port.on('message', (request: Request) => void infer(data, loaded, request).then(say))
  const signatures = loaded.map(
    (session): Signature => ({
      inputs: session.inputMetadata.map(shapeOf),
      outputs: session.outputMetadata.map(shapeOf),
    }),
  )
  say({ kind: 'ready', signatures })
}

// A failure here rejects the module's own evaluation, which the owner sees as the thread's error.
if (parentPort !== null) await serve(parentPort, workerData)
