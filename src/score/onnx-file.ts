/**
 * Looks through an ONNX file for tensors whose data is kept in other files, without loading it.
 *
 * Invariant: every place of the format that can hold a tensor is walked (initializers, constants in attributes, nested
 * graphs, functions, training graphs), reading nothing outside the given bytes, to a bounded depth.
 */

type Message = 'model' | 'graph' | 'node' | 'attribute' | 'tensor' | 'sparse' | 'function' | 'training'

/** Field numbers of onnx.proto through which a tensor can be reached. */
const CHILDREN: Readonly<Record<Message, Readonly<Record<number, Message>>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  tensor: {},
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 11: 'attribute' },
  training: { 1: 'graph', 2: 'graph' },
}
const TENSOR_NAME = 8
const TENSOR_EXTERNAL_DATA = 13
const TENSOR_DATA_LOCATION = 14
const MAX_DEPTH = 64

interface Field {
  readonly number: number
  /** Content of a length-delimited field; empty for the others. */
  readonly content: Uint8Array
  readonly value: number
}

/** Protocol-buffer varint; only its low 32 bits matter here. */
function varint(bytes: Uint8Array, at: number): { readonly value: number; readonly end: number } {
  let value = 0
  for (let index = 0; index < 10; index += 1) {
    const byte = bytes[at + index]
    if (byte === undefined) throw new RangeError('it ends in the middle of a number')
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return { value, end: at + index + 1 }
  }
  throw new RangeError('a number is too long')
}

function* fields(bytes: Uint8Array): Generator<Field> {
  const nothing = new Uint8Array()
  for (let at = 0; at < bytes.length; ) {
    const tag = varint(bytes, at)
    const number = Math.floor(tag.value / 8)
    const wire = tag.value % 8
    at = tag.end
    if (wire === 0) {
      const { value, end } = varint(bytes, at)
      yield { number, content: nothing, value }
      at = end
    } else if (wire === 2) {
      const length = varint(bytes, at)
      const end = length.end + length.value
      if (end > bytes.length) throw new RangeError('it ends in the middle of a field')
      yield { number, content: bytes.subarray(length.end, end), value: 0 }
      at = end
    } else if (wire === 1 || wire === 5) {
      at += wire === 1 ? 8 : 4
      if (at > bytes.length) throw new RangeError('it ends in the middle of a number')
    } else {
      throw new RangeError(`it holds a field of unknown kind ${wire}`)
    }
  }
}

/**
 * Name of the first tensor kept outside the file; null when there is none.
 * @throws RangeError when the bytes are not a protocol-buffer message
 */
export function findExternalData(bytes: Uint8Array): string | null {
  return walk('model', bytes, 0)
}

function walk(message: Message, bytes: Uint8Array, depth: number): string | null {
  if (depth > MAX_DEPTH) throw new RangeError('its graphs are nested too deeply')
  let name = ''
  let isExternal = false
  for (const field of fields(bytes)) {
    if (message === 'tensor') {
      if (field.number === TENSOR_NAME) name = new TextDecoder().decode(field.content)
      if (field.number === TENSOR_EXTERNAL_DATA) isExternal = true
      if (field.number === TENSOR_DATA_LOCATION && field.value !== 0) isExternal = true
    }
    const child = CHILDREN[message][field.number]
    const found = child === undefined ? null : walk(child, field.content, depth + 1)
    if (found !== null) return found
  }
  return isExternal ? name : null
}
