/** A declared stream as one in code: the runtime knows only one kind. */
import { copyStream } from '../copy/stream.ts'
import type { AnyStream, Stream } from '../define/index.ts'
import { restStream } from './rest/stream.ts'
import { singerStream } from './singer/stream.ts'

const made = new WeakMap<AnyStream, Stream>()

export function streamOf(declared: AnyStream): Stream {
  if ('rest' in declared) return once(declared, () => restStream(declared))
  if ('copy' in declared) return once(declared, () => copyStream(declared))
  if ('singer' in declared) return once(declared, () => singerStream(declared))
  return declared
}

function once(declared: AnyStream, make: () => Stream): Stream {
  const known = made.get(declared) ?? make()
  made.set(declared, known)
  return known
}
