/** One order to a child process, one answer back. Invariant: the child is gone when this settles. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** @param program file below bench/children; it answers an `Order` with one `Answer` and ends */
export function askChild<Order extends object, Answer>(
  program: string,
  order: Order,
  options: { readonly signal: AbortSignal },
): Promise<Answer> {
  const file = fileURLToPath(new URL(`./children/${program}`, import.meta.url))
  const child = fork(file, [], { stdio: ['ignore', 2, 2, 'ipc'], signal: options.signal })
  return new Promise<Answer>((resolve, reject) => {
    let answer: { readonly value: Answer } | undefined
    child.on('message', (message: Answer) => {
      answer = { value: message }
    })
    child.once('error', reject)
    child.once('exit', (code, by) => {
      if (answer !== undefined) resolve(answer.value)
      else reject(new Error(`${program} ended with ${by ?? `code ${code}`} before it answered.`))
    })
    child.send(order)
  })
}
