/** A declared stream as one in code: the runtime knows only one kind. */
import { copyStream } from '../copy/stream.ts'
import type { AnyStream, Stream } from '../define/index.ts'
import { restStream } from './rest/stream.ts'

const made = new WeakMap<AnyStream, Stream>()

export function streamOf(declared: AnyStream): Stream {
  if (!('rest' in declared) && !('copy' in declared)) return declared
  const known = made.get(declared) ?? ('rest' in declared ? restStream(declared) : copyStream(declared))
  made.set(declared, known)
  return known
}
