/**
 * A record its topic cannot take, without the values that make it large.
 *
 * Why: nobody downstream would hear of the change otherwise, and what is derived from it would stay old in silence. What is
 * left out is named in the header `rescore.columns` as omitted: it may have changed, unlike a TOASTed value that an update
 * did not touch. Invariants: the columns of the key stay; every other byte of the record stays as it is; what is left out
 * has Debezium's placeholder, so that no reader takes it for null. Pure.
 */
import { ByteWriter } from './encode-bytes.ts'
import { COLUMNS_HEADER, UNAVAILABLE, writeHeader, writeVarint } from './envelope.ts'
import type { BatchRecord } from './publish-batch.ts'

/** Values longer than this many bytes of JSON are left out; if that is not enough, those longer than the second. */
const LONGEST = [1_024, 64] as const

const [QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COMMA] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c]
const PLACEHOLDER = Buffer.from(JSON.stringify(UNAVAILABLE))

interface Member {
  readonly name: string
  /** Where its value stands. */
  readonly from: number
  readonly to: number
}

/** Behind the text that begins at `at`. */
function behindText(json: Buffer, at: number): number {
  let end = at + 1
  while (end < json.length && json[end] !== QUOTE) end += json[end] === BACKSLASH ? 2 : 1
  return end + 1
}

/** Behind the value that begins at `at`, whatever it is. */
function behindValue(json: Buffer, at: number): number {
  let [end, depth] = [at, 0]
  while (end < json.length) {
    const byte = json[end]
    if (byte === QUOTE) {
      end = behindText(json, end)
      if (depth === 0) return end
      continue
    }
    if (depth === 0 && (byte === COMMA || byte === CLOSE || byte === CLOSE_LIST)) return end
    if (byte === OPEN || byte === OPEN_LIST) depth += 1
    if (byte === CLOSE || byte === CLOSE_LIST) {
      depth -= 1
      if (depth === 0) return end + 1
    }
    end += 1
  }
  return end
}

/** Of the object that begins at `at`, written without spaces, as ours are; none when it is null. */
function membersOf(json: Buffer, at: number): readonly Member[] {
  const members: Member[] = []
  if (json[at] !== OPEN) return members
  for (let next = at + 1; json[next] === QUOTE; ) {
    const colon = behindText(json, next)
    const name = String(JSON.parse(json.toString('utf8', next, colon)))
    const from = colon + 1
    const to = behindValue(json, from)
    members.push({ name, from, to })
    if (json[to] !== COMMA) break
    next = to + 1
  }
  return members
}

type Header = readonly [name: string, value: Buffer]

/** As they stand in a record, their count in front. */
function readHeaders(bytes: Buffer): readonly Header[] {
  let at = 0
  const varint = () => {
    let [value, shift] = [0, 0]
    for (;;) {
      const byte = bytes[at] ?? 0
      at += 1
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
      shift += 7
    }
  }
  const field = () => {
    const length = varint()
    at += length
    return bytes.subarray(at - length, at)
  }
  return Array.from({ length: varint() }, () => [field().toString('latin1'), field()] as const)
}

function writeHeaders(headers: readonly Header[]): Buffer {
  const out = new ByteWriter()
  writeVarint(out, headers.length)
  for (const [name, value] of headers) writeHeader(out, name, value)
  return Buffer.from(out.bytes.subarray(0, out.at))
}

interface Columns {
  readonly before?: readonly string[]
  readonly after?: readonly string[]
  readonly omitted?: readonly string[]
}

const joined = (one: readonly string[] = [], other: readonly string[] = []) => [...new Set([...one, ...other])]

function keyOf({ key }: BatchRecord): ReadonlySet<string> {
  return new Set(key === null ? [] : Object.keys(JSON.parse(key.toString('utf8'))))
}

/** Null when there is nothing left to leave out. */
export function smallerRecord(record: BatchRecord): BatchRecord | null {
  const { value } = record
  if (value === null) return null
  const headers = readHeaders(record.headers)
  const said = headers.find(([name]) => name === COLUMNS_HEADER)?.[1]
  const known: Columns = said === undefined ? {} : JSON.parse(said.toString('utf8'))
  const longest = LONGEST[known.omitted === undefined ? 0 : 1]
  const key = keyOf(record)
  const sides = membersOf(value, 0).filter(({ name }) => name === 'before' || name === 'after')
  const rows = sides.map(({ from }) => membersOf(value, from))
  const large = new Set(
    rows.flat().flatMap(({ name, from, to }) => (to - from > longest && !key.has(name) ? [name] : [])),
  )
  if (large.size === 0) return null
  const parts: Buffer[] = []
  let copied = 0
  for (const { name, from, to } of rows.flat()) {
    if (!large.has(name)) continue
    parts.push(value.subarray(copied, from), PLACEHOLDER)
    copied = to
  }
  const named = [...large]
  const has = (side: string, at = sides.findIndex(({ name }) => name === side)) => (rows[at]?.length ?? 0) > 0
  const columns: Columns = {
    ...(has('before') ? { before: joined(known.before, named) } : {}),
    ...(has('after') ? { after: joined(known.after, named) } : {}),
    omitted: joined(known.omitted, named),
  }
  return {
    key: record.key,
    value: Buffer.concat([...parts, value.subarray(copied)]),
    headers: writeHeaders([
      ...headers.filter(([name]) => name !== COLUMNS_HEADER),
      [COLUMNS_HEADER, Buffer.from(JSON.stringify(columns))],
    ]),
  }
}
