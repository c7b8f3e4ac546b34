/** What a described list answers to a request: a page of it, one record, or that there is none. */
import type { TimeFormat } from '../../define/index.ts'
import type { FixtureAnswer, FixtureRequest } from '../fixture-server.ts'
import type { FixtureRecords } from './records.ts'
import type { FixturePage, FixturePaging } from './spec.ts'

const DEFAULT_SIZE = 100
const NUMBER = '@number:'

/** JSON in which a bigint is a number, whatever JavaScript could read of it. */
export function jsonText(value: unknown): string {
  const json = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? NUMBER + part : part)) ?? 'null'
  return json.replace(/"@number:(-?\d+)"/g, '$1')
}

function timeOf(text: string | undefined, format: TimeFormat = 'iso'): number {
  if (text === undefined) return Number.NEGATIVE_INFINITY
  if (format === 'ms') return Number(text)
  return format === 's' ? Number(text) * 1_000 : Date.parse(text)
}

type Asked = (parameter: string | undefined) => string | undefined

/** How many records of the list stand before the page. */
function skipped(paging: FixturePaging, asked: Asked, size: number): number {
  const value = asked(paging.parameter)
  if (value === undefined) return 0
  if (paging.by === 'offset') return Number(value)
  return paging.by === 'page' ? (Number(value) - (paging.first ?? 1)) * size : 0
}

/** Where in the order of the records the page begins. */
function beginning(records: FixtureRecords, paging: FixturePaging, asked: Asked): number {
  if (paging.by === 'cursor' || paging.by === 'link') return Number(asked(paging.parameter ?? 'cursor') ?? 0)
  const last = paging.by === 'keyset' ? asked(paging.parameter) : undefined
  return last === undefined ? 0 : (records.find(last)?.at ?? -1) + 1
}

function pageOf(records: FixtureRecords, request: FixtureRequest): FixturePage {
  const { paging, changed } = records.list
  const asked: Asked = (parameter) => (parameter === undefined ? undefined : request.query[parameter])
  const sinceMs = changed === undefined ? Number.NEGATIVE_INFINITY : timeOf(asked(changed.parameter), changed.format)
  if (paging === undefined)
    return { items: [...records.listed(0, sinceMs)].map(({ record }) => record.item), next: null }
  const most = paging.size?.value ?? DEFAULT_SIZE
  const size = Math.min(most, Number(asked(paging.size?.parameter) ?? most))
  let skip = skipped(paging, asked, size)
  const items: unknown[] = []
  for (const { record, at } of records.listed(beginning(records, paging, asked), sinceMs)) {
    if (skip > 0) skip -= 1
    else if (items.length < size) items.push(record.item)
    else return { items, next: nextOf(paging, request, at) }
  }
  return { items, next: null }
}

/** @param at the place of the first record of the next page */
function nextOf(paging: FixturePaging, { path, query }: FixtureRequest, at: number): string | null {
  if (paging.by === 'cursor') return String(at)
  if (paging.by !== 'link') return null
  return `${path}?${new URLSearchParams({ ...query, [paging.parameter ?? 'cursor']: String(at) })}`
}

/** @returns undefined when the request is none for this list */
export function answerOf(records: FixtureRecords, request: FixtureRequest): FixtureAnswer | undefined {
  const { path, one, paging, body } = records.list
  if (request.method !== 'GET') return undefined
  if (request.path === path) {
    const page = pageOf(records, request)
    const isHeader = paging?.linkHeader === true && page.next !== null
    return {
      headers: isHeader ? { link: `<${page.next}>; rel="next"` } : {},
      body: jsonText(body === undefined ? page.items : body(page)),
    }
  }
  const [before = '', after = ''] = one?.path.split('{key}') ?? []
  if (one === undefined || !request.path.startsWith(before) || !request.path.endsWith(after)) return undefined
  const key = decodeURIComponent(request.path.slice(before.length, request.path.length - after.length))
  const found = key.includes('/') ? undefined : records.find(key)
  if (found === undefined || found.record.isRemoved) return { status: 404, body: { message: 'no such record' } }
  const { item } = found.record
  return { body: jsonText(one.body === undefined ? item : one.body(item)) }
}
