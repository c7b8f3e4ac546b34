/**
 * The child's end of the channel to the bench.
 * Invariant: a child that fails to handle an order ends with exit code 1 and its reason on stderr; none hangs silently.
 */

/** Sends one message to the bench. */
export function tell(message: object): void {
  process.send?.(message)
}

/** Calls `handle` for each message of the bench, which sends nothing but `Order`s to this child. */
export function onOrder<Order>(handle: (order: Order) => Promise<void>): void {
  process.on('message', (order: Order) => {
    handle(order).catch((error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
      process.exit(1)
    })
  })
}
