/** A declared stream as one in code: the runtime knows only one kind. */
import type { AnyStream, Stream } from '../define/index.ts'
import { restStream } from './rest/stream.ts'
import { singerStream } from './singer/stream.ts'

const made = new WeakMap<AnyStream, Stream>()

export function streamOf(declared: AnyStream): Stream {
  if (!('rest' in declared || 'singer' in declared)) return declared
  const known = made.get(declared) ?? ('rest' in declared ? restStream(declared) : singerStream(declared))
  made.set(declared, known)
  return known
}
