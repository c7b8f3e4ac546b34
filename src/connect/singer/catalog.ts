/**
 * What a tap says it has, and the same with one stream chosen.
 * Invariant: both ways taps know of choosing are written, `selected` in the metadata and in the schema; everything a
 * tap put into its catalog goes back as it came, numbers to the digit. Pure.
 */
import { z } from 'zod'
import { type SingerStreamSpec, SourceError } from '../../define/index.ts'
import { parseExactly } from './message.ts'

const fields = z.record(z.string(), z.unknown())
const entry = z.looseObject({
  tap_stream_id: z.string().optional(),
  stream: z.string().optional(),
  schema: z.looseObject({ properties: fields.optional() }).optional(),
  metadata: z.array(z.looseObject({ breadcrumb: z.array(z.string()), metadata: fields })).optional(),
  replication_method: z.string().nullish(),
})
const catalogShape = z.looseObject({ streams: z.array(entry) })
export type Catalog = z.infer<typeof catalogShape>
type Entry = z.infer<typeof entry>

/** undefined: it is not a catalog. A print may stand before it. */
export function readCatalog(text: string): Catalog | undefined {
  const starts = [0, ...[...text.matchAll(/^\s*\{/gm)].map(({ index }) => index)]
  for (const start of new Set(starts.slice(0, 20))) {
    try {
      const parsed = catalogShape.safeParse(parseExactly(text.slice(start)))
      if (parsed.success) return parsed.data
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
  }
  return undefined
}

const nameOf = ({ stream, tap_stream_id: id }: Entry): string => id ?? stream ?? ''
const isNamed = (each: Entry, name: string) => each.tap_stream_id === name || each.stream === name

const rootOf = (each: Entry) => each.metadata?.find(({ breadcrumb }) => breadcrumb.length === 0)?.metadata ?? {}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function inclusionOf(each: Entry, property: string): unknown {
  const meta = each.metadata?.find(({ breadcrumb }) => breadcrumb.length === 2 && breadcrumb[1] === property)
  const schema = each.schema?.properties?.[property]
  return meta?.metadata.inclusion ?? (isFields(schema) ? schema.inclusion : undefined)
}

export function unknown(what: string, known: readonly string[]): SourceError {
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_STREAM',
    message: `The tap has no ${what}. It has: ${known.slice(0, 40).join(', ') || 'none'}.`,
    mend: 'Name it as the tap does, or give the tap the configuration that makes it offer this.',
  })
}

/** @throws SourceError config, when the tap does not have what is asked for */
export function streamIn(catalog: Catalog, spec: SingerStreamSpec): Entry {
  const find = (name: string) => {
    const found = catalog.streams.find((each) => isNamed(each, name))
    if (found === undefined) throw unknown(`stream '${name}'`, catalog.streams.map(nameOf))
    return found
  }
  for (const name of spec.along ?? []) find(name)
  const found = find(spec.stream)
  const properties = Object.keys(found.schema?.properties ?? {})
  for (const name of spec.select ?? []) {
    if (!properties.includes(name)) throw unknown(`property '${name}' in '${spec.stream}'`, properties)
  }
  return found
}

/** Names under which the records of the stream may come. */
export function namesOf(catalog: Catalog | null, spec: SingerStreamSpec): readonly string[] {
  const found = catalog?.streams.find((each) => isNamed(each, spec.stream))
  const names = [spec.emits, spec.stream, found?.stream, found?.tap_stream_id]
  return [...new Set(names.filter((name) => name !== undefined))]
}

const METHOD = { 'full-table': 'FULL_TABLE', incremental: 'INCREMENTAL', 'log-based': 'LOG_BASED' } as const
export type CatalogMethod = (typeof METHOD)[keyof typeof METHOD]

const KNOWN: ReadonlySet<string> = new Set(Object.values(METHOD))
const isMethod = (value: unknown): value is CatalogMethod => typeof value === 'string' && KNOWN.has(value)

/** How the tap will read the stream; undefined when neither the user nor the tap says. */
export function methodOf(catalog: Catalog | null, spec: SingerStreamSpec): CatalogMethod | undefined {
  const found = catalog?.streams.find((each) => isNamed(each, spec.stream))
  const root = found === undefined ? {} : rootOf(found)
  const asked = spec.replication === undefined ? undefined : METHOD[spec.replication.method]
  const said = [root['forced-replication-method'], asked, root['replication-method'], found?.replication_method]
  return said.map((value) => (typeof value === 'string' ? value.toUpperCase() : value)).find(isMethod)
}

function choose(each: Entry, spec: SingerStreamSpec, isChosen: boolean, isAlong: boolean): Entry {
  const { select, replication } = spec
  const takes = (property: string) => {
    const inclusion = inclusionOf(each, property)
    if (inclusion === 'automatic') return true
    return isChosen && inclusion !== 'unsupported' && (isAlong || select === undefined || select.includes(property))
  }
  const method = isChosen && !isAlong && replication !== undefined ? METHOD[replication.method] : undefined
  const key = method === undefined ? undefined : replication?.key
  const properties = Object.entries(each.schema?.properties ?? {}).map(([name, schema]) => [
    name,
    isFields(schema) ? { ...schema, selected: isChosen && takes(name) } : schema,
  ])
  const root = {
    ...rootOf(each),
    selected: isChosen,
    ...(method === undefined ? {} : { 'replication-method': method }),
    ...(key === undefined ? {} : { 'replication-key': key }),
  }
  const metadata = (each.metadata ?? []).filter(({ breadcrumb }) => breadcrumb.length > 0)
  const described = new Set(metadata.map(({ breadcrumb }) => breadcrumb[1]))
  const missing = Object.keys(each.schema?.properties ?? {}).filter((name) => !described.has(name))
  return {
    ...each,
    ...(method === undefined ? {} : { replication_method: method }),
    ...(key === undefined ? {} : { replication_key: key }),
    schema: { ...each.schema, selected: isChosen, properties: Object.fromEntries(properties) },
    metadata: [
      { breadcrumb: [], metadata: root },
      ...metadata.map((meta) => ({
        ...meta,
        metadata: { ...meta.metadata, selected: isChosen && takes(meta.breadcrumb[1] ?? '') },
      })),
      ...missing.map((name) => ({
        breadcrumb: ['properties', name],
        metadata: { inclusion: 'available', selected: isChosen && takes(name) },
      })),
    ],
  }
}

/** The catalog as the tap is given it. @throws SourceError config, when the tap does not have what is asked for */
export function selectIn(catalog: Catalog, spec: SingerStreamSpec): Catalog {
  const chosen = streamIn(catalog, spec)
  const isAlong = (each: Entry) => (spec.along ?? []).some((name) => isNamed(each, name))
  return {
    ...catalog,
    streams: catalog.streams.map((each) =>
      each === chosen ? choose(each, spec, true, false) : choose(each, spec, isAlong(each), isAlong(each)),
    ),
  }
}
