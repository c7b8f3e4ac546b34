/** A plan out of an OpenAPI document. Pure. */
import { RescoreError } from '../../errors.ts'
import { accessFor } from './access.ts'
import type { OpenapiDocument } from './document.ts'
import { identifierOf, Names } from './names.ts'
import { type Operation, operationsOf, plainName } from './operations.ts'
import type { Plan, PlannedOption, PlannedStream, PlannedValue } from './plan.ts'
import { child, isNode, listOf, type Node, Schemas, textOf } from './schema.ts'
import { findStreams, NEEDS_VALUE, valueFor } from './streams.ts'

/** Not for a connector to set: the runtime does. */
const OWN_HEADERS = ['accept', 'authorization', 'contenttype', 'useragent', 'acceptencoding', 'ifnonematch']

function baseUrlOf(document: Node, documentUrl: string | null): string | null {
  const server = listOf(document.servers).find(isNode)
  const variables = server?.variables
  const text = (textOf(server?.url) ?? '').replace(
    /\{([^{}]+)\}/g,
    (whole, name: string) => textOf(child(variables, name, 'default')) ?? whole,
  )
  const url = URL.canParse(text)
    ? new URL(text)
    : documentUrl !== null && URL.canParse(text, documentUrl)
      ? new URL(text, documentUrl)
      : null
  if (url === null || !/^https?:$/.test(url.protocol) || text.includes('{')) return null
  return url.href.replace(/\/$/, '')
}

function rateHeadersOf(operations: readonly Operation[]): Plan['rateHeaders'] {
  const names = [...new Set(operations.flatMap(({ headers }) => headers))]
  const find = (word: string) => names.find((name) => /rate-?limit/.test(name) && name.endsWith(word))
  const [limit, remaining, reset] = [find('limit'), find('remaining'), find('reset')]
  if (remaining === undefined) return undefined
  return {
    remaining,
    ...(limit === undefined || limit === remaining ? {} : { limit }),
    ...(reset === undefined ? {} : { reset }),
  }
}

/** Headers that every operation read has to be sent. */
function headersOf(operations: readonly Operation[], optionFor: (name: string, comment: string) => PlannedValue) {
  const required = operations.flatMap(({ parameters }) =>
    parameters.filter(
      ({ place, isRequired, name }) => place === 'header' && isRequired && !OWN_HEADERS.includes(plainName(name)),
    ),
  )
  const byName = new Map(required.map((parameter) => [parameter.name.toLowerCase(), parameter]))
  return [...byName.values()].map(
    (parameter) => [parameter.name.toLowerCase(), valueFor(parameter, optionFor)] as const,
  )
}

/** Table names that are names, each once. */
function named(streams: readonly PlannedStream[]): readonly PlannedStream[] {
  const names = new Names()
  return streams.map((stream) => {
    const words = stream.documented
      .split('/')
      .filter((part) => part !== '' && !part.includes('{') && !/^v\d/.test(part))
    const longer = words.slice(-2).join('_')
    return {
      ...stream,
      table: names.take(identifierOf(stream.table, 'snake') || 'records', identifierOf(longer, 'snake')),
    }
  })
}

/**
 * @param wanted paths of the document to read; empty: the likeliest lists
 * @throws RescoreError CLI_OPENAPI_UNSUPPORTED when there is no list to read
 */
export function planFrom({ document, from, url }: OpenapiDocument, name: string, wanted: readonly string[]): Plan {
  const schemas = new Schemas(document)
  const operations = operationsOf(schemas)
  const refuse = (message: string, mend: string) =>
    new RescoreError({ code: 'CLI_OPENAPI_UNSUPPORTED', fate: 'stop', message, mend })
  const unknown = wanted.find((path) => operations.every((operation) => operation.path !== path))
  if (unknown !== undefined) {
    throw refuse(
      `${from} has no GET ${unknown} that answers JSON.`,
      'Write the path as the document does: /orgs/{org}/repos',
    )
  }
  const options = new Map<string, PlannedOption>()
  const optionNames = new Names([
    'baseUrl',
    'token',
    'user',
    'password',
    'key',
    'tokenUrl',
    'clientId',
    'clientSecret',
    'refreshToken',
    'id',
  ])
  const optionFor = (given: string, comment: string): PlannedValue => {
    const optionName = identifierOf(given, 'camel') || 'value'
    const known = options.get(given) ?? { name: optionNames.take(optionName, `${optionName}Value`), comment }
    options.set(given, known)
    return { option: known.name }
  }
  const found = findStreams(schemas, operations, wanted, optionFor)
  if (found.streams.length === 0) {
    const withValue = found.leftOut.find(([, why]) => why === NEEDS_VALUE)
    const [first] = found.leftOut
    const why = first === undefined ? 'no GET operation answers an array of records' : `${first[0]}: ${first[1]}`
    const mend =
      schemas.foreign !== undefined
        ? `It refers to other files (${schemas.foreign}): make one of them first, with npx @redocly/cli bundle.`
        : withValue !== undefined
          ? `Name one, and give the value as an option of the connector: --path '${withValue[0]}'`
          : 'Begin with --blank and declare what to read.'
    throw refuse(`${from} has no list a connector could read: ${why}.`, mend)
  }
  const { access, notes } = accessFor(schemas, found.operations)
  const rateHeaders = rateHeadersOf(found.operations)
  return {
    name,
    title: textOf(child(document, 'info', 'title')) ?? name,
    from,
    baseUrl: baseUrlOf(document, url),
    access,
    headers: headersOf(found.operations, optionFor),
    rateHeaders,
    options: [...options.values()],
    streams: named(found.streams),
    notes:
      schemas.foreign === undefined
        ? notes
        : [
            ...notes,
            `What the document keeps in other files (such as ${schemas.foreign}) was not seen: make one of them with npx @redocly/cli bundle.`,
          ],
    leftOut: found.leftOut,
  }
}
