/**
 * How a list goes on, by the names of its parameters and of what stands beside its records.
 * Invariant: what is not recognised is said, never passed off as the whole list. Pure.
 */
import { type Operation, type Parameter, plainName } from './operations.ts'
import { type Node, numberOf, type Schemas } from './schema.ts'

export type PlannedPaging = { readonly size?: { readonly parameter: string; readonly value: number } } & (
  | { readonly by: 'page'; readonly parameter: string; readonly first: number }
  | { readonly by: 'offset'; readonly parameter: string }
  | { readonly by: 'cursor'; readonly parameter: string; readonly next: readonly string[] }
  /** `next` null: in the Link header. */
  | { readonly by: 'link'; readonly next: readonly string[] | null }
  | { readonly by: 'keyset'; readonly parameter: string }
)

export interface RecognisedPaging {
  /** null: the whole list in one answer, as far as the document says. */
  readonly paging: PlannedPaging | null
  readonly notes: readonly string[]
}

const CURSORS = [
  'cursor',
  'after',
  'pageafter',
  'pagecursor',
  'pagetoken',
  'nexttoken',
  'nextpagetoken',
  'continuationtoken',
  'continuation',
  'bookmark',
  'startcursor',
  'nextcursor',
  'scrollid',
  'pageinfo',
  'marker',
  'aftercursor',
  'nextpage',
  'next',
  'token',
]
const KEYSETS = ['startingafter', 'afterid', 'sinceid', 'lastid', 'idafter', 'idgt', 'minid', 'fromid', 'startafter']
const OFFSETS = ['offset', 'skip', 'start', 'startat', 'startindex', 'pageoffset', 'firstresult', 'startposition']
const PAGES = ['page', 'pagenumber', 'pageno', 'pagenum', 'pageindex', 'currentpage', 'p']
const SIZES = [
  'limit',
  'perpage',
  'pagesize',
  'pagelimit',
  'size',
  'maxresults',
  'resultsperpage',
  'top',
  'take',
  'rows',
  'pagecount',
  'itemsperpage',
  'count',
  'maxitems',
  'first',
]
const LINKS = [
  'nextlink',
  'nexturl',
  'nexthref',
  'nextpageurl',
  'nextpagelink',
  'odatanextlink',
  'nexturi',
  'nextpageuri',
]
const MOST = 500
const USUAL = 100
const DEEPEST = 3

interface Beside {
  readonly path: readonly string[]
  readonly schema: Node
}

/** Plain values of the body beside its records. */
function besides(
  schemas: Schemas,
  schema: Node,
  records: readonly string[],
  path: readonly string[] = [],
): readonly Beside[] {
  if (path.length >= DEEPEST || schemas.type(schema) === 'array') return []
  return [...schemas.properties(schema)].flatMap(([name, property]): readonly Beside[] => {
    const at = [...path, name]
    if (at.length === records.length && at.every((part, index) => part === records[index])) return []
    const type = schemas.type(property)
    return type === 'object'
      ? besides(schemas, property, records, at)
      : type === 'array'
        ? []
        : [{ path: at, schema: property }]
  })
}

const isText = (schemas: Schemas, { schema }: Beside) => ['string', undefined].includes(schemas.type(schema))

function linkIn(schemas: Schemas, values: readonly Beside[]): readonly string[] | undefined {
  const found = values.find((value) => {
    const names = value.path.map(plainName)
    const last = names.at(-1) ?? ''
    if (!isText(schemas, value)) return false
    if (LINKS.includes(last)) return true
    if (last === 'href' && names.at(-2) === 'next') return true
    const isUrl = ['uri', 'url', 'uri-reference'].includes(schemas.format(value.schema) ?? '')
    return (last === 'next' || last === 'nextpage') && (isUrl || names.some((name) => name === 'links'))
  })
  return found?.path
}

/** The value of the body that goes into `parameter` of the next call. */
function tokenFor(schemas: Schemas, values: readonly Beside[], parameter: Parameter): readonly string[] | undefined {
  const name = plainName(parameter.name)
  const texts = values.filter((value) => schemas.type(value.schema) !== 'boolean')
  const ranked = texts.flatMap(({ path }) => {
    const names = path.map(plainName)
    const last = names.at(-1) ?? ''
    const joined = names.join(' ')
    if (/prev|before|first|self|total/.test(joined)) return []
    const isNext = names.some((each) => each.startsWith('next'))
    if (last === `next${name}` || (last === name && isNext)) return [{ path, score: 3 }]
    if (isNext && /token|cursor|after|next|bookmark|marker|continuation/.test(last)) return [{ path, score: 2 }]
    const says =
      last === name ||
      ['endcursor', 'continuation', 'continuationtoken', 'cursor', 'bookmark', 'scrollid'].includes(last)
    return says ? [{ path, score: 1 }] : []
  })
  return ranked.sort((left, right) => right.score - left.score)[0]?.path
}

function sizeOf(parameters: readonly Parameter[], schemas: Schemas) {
  const found = parameters.find(
    ({ name, schema }) =>
      SIZES.includes(plainName(name)) && ['integer', 'number', undefined].includes(schemas.type(schema)),
  )
  if (found === undefined) return undefined
  const most = numberOf(found.schema.maximum)
  const usual = numberOf(found.schema.default)
  const value = Math.max(2, Math.min(MOST, Math.floor(most ?? usual ?? USUAL)))
  const note =
    most !== undefined
      ? undefined
      : `The document does not say how large a page may be: \`${found.name}\` is ${value}${usual === undefined ? '' : ', its default'}.`
  return { size: { parameter: found.name, value }, note }
}

export function pagingOf(schemas: Schemas, operation: Operation, records: readonly string[]): RecognisedPaging {
  const parameters = operation.parameters.filter(({ place }) => place === 'query')
  const named = (names: readonly string[]) => {
    const found = parameters.filter(({ name }) => names.includes(plainName(name)))
    return found.sort((left, right) => names.indexOf(plainName(left.name)) - names.indexOf(plainName(right.name)))[0]
  }
  const sized = sizeOf(parameters, schemas)
  const size = sized === undefined ? {} : { size: sized.size }
  const sizeNotes = sized?.note === undefined ? [] : [sized.note]
  const is = (paging: PlannedPaging, note: string): RecognisedPaging => ({
    paging,
    notes: [note, ...sizeNotes],
  })
  const values = besides(schemas, operation.schema, records)

  const link = linkIn(schemas, values)
  if (link !== undefined)
    return is(
      { by: 'link', next: link, ...size },
      `Pages are followed by the link at \`${link.join('.')}\` of the body.`,
    )
  const keyset = named(KEYSETS)
  const tokens = [
    named(CURSORS),
    keyset,
    parameters.find(({ name, schema }) => plainName(name) === 'offset' && schemas.type(schema) === 'string'),
  ]
  for (const parameter of tokens) {
    const next = parameter === undefined ? undefined : tokenFor(schemas, values, parameter)
    if (parameter === undefined || next === undefined) continue
    return is(
      { by: 'cursor', parameter: parameter.name, next, ...size },
      `Pages are followed by \`${next.join('.')}\` of the body, given as \`${parameter.name}\`.`,
    )
  }
  if (keyset !== undefined)
    return is(
      { by: 'keyset', parameter: keyset.name, ...size },
      `Pages are taken to go on after the key given as \`${keyset.name}\`.`,
    )
  if (operation.headers.includes('link'))
    return is({ by: 'link', next: null, ...size }, 'Pages are followed by `rel="next"` of the Link header.')
  const offset = named(OFFSETS)
  if (offset !== undefined && sized !== undefined)
    return is(
      { by: 'offset', parameter: offset.name, size: sized.size },
      `Pages are read by \`${offset.name}\`, in records.`,
    )
  const page = named(PAGES)
  if (page !== undefined) {
    const first = numberOf(page.schema.default) === 0 || numberOf(page.schema.minimum) === 0 ? 0 : 1
    return is(
      { by: 'page', parameter: page.name, first, ...size },
      `Pages are numbered by \`${page.name}\` from ${first}.`,
    )
  }
  const cursor = named(CURSORS)
  const telling = values.find(({ path }) =>
    /^(next|has(more|next)|(total)?pages|totalpages|pagecount)/.test(plainName(path.at(-1) ?? '')),
  )
  if (sized === undefined && cursor === undefined && telling === undefined) {
    return {
      paging: null,
      notes: ['No paging was recognised: the answer is taken for the whole list.'],
    }
  }
  const hint =
    cursor !== undefined
      ? ` \`${cursor.name}\` looks like the way, but no field of the body was recognised as what to put there.`
      : telling === undefined
        ? ''
        : ` The body has \`${telling.path.join('.')}\`, so there are more.`
  return {
    paging: null,
    notes: [
      `**Only the first page is read**: how the list goes on was not recognised.${hint} Declare \`paging\`.`,
      ...sizeNotes,
    ],
  }
}
