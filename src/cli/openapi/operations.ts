/**
 * The GET operations of an OpenAPI document, with what is needed to read a list by them.
 * Invariant: an operation that does not answer JSON is not among them; nothing throws. Pure.
 */
import { child, isNode, listOf, type Node, type Schemas, textOf } from './schema.ts'

export interface Parameter {
  readonly name: string
  readonly place: 'query' | 'header' | 'path' | 'cookie'
  readonly isRequired: boolean
  readonly schema: Node
  readonly description: string
  readonly example: unknown
}

export interface Operation {
  /** As in the document: `/orgs/{org}/repos`. */
  readonly path: string
  readonly summary: string
  readonly isDeprecated: boolean
  readonly parameters: readonly Parameter[]
  readonly security: unknown
  /** Of the body of a good answer. */
  readonly schema: Node
  /** Names of the headers of a good answer, in lower case. */
  readonly headers: readonly string[]
}

const PLACES = ['query', 'header', 'path', 'cookie'] as const

function parameterOf(schemas: Schemas, node: unknown): readonly Parameter[] {
  const parameter = schemas.at(node)
  const name = textOf(parameter?.name)
  const place = PLACES.find((one) => one === parameter?.in)
  if (parameter === undefined || name === undefined || place === undefined) return []
  const schema = schemas.at(parameter.schema) ?? schemas.at(child(jsonContent(parameter.content), 'schema')) ?? {}
  const description = textOf(parameter.description) ?? textOf(schema.description) ?? ''
  const [firstExample] = isNode(parameter.examples) ? Object.values(parameter.examples) : []
  const example = parameter.example ?? child(schemas.at(firstExample), 'value') ?? schema.example
  return [{ name, place, isRequired: parameter.required === true || place === 'path', schema, description, example }]
}

function jsonContent(content: unknown): unknown {
  if (!isNode(content)) return undefined
  const [type] = Object.keys(content).filter((name) => /[/+]json\b/i.test(name) || name === '*/*')
  return type === undefined ? undefined : content[type]
}

function goodAnswer(schemas: Schemas, responses: unknown): Node | undefined {
  for (const status of ['200', '2XX', '2xx', '206', 'default']) {
    const answer = schemas.at(child(responses, status))
    if (answer !== undefined) return answer
  }
  return undefined
}

function operationOf(schemas: Schemas, path: string, item: Node): readonly Operation[] {
  const get = schemas.at(item.get)
  if (get === undefined) return []
  const answer = goodAnswer(schemas, get.responses)
  const schema = schemas.at(child(jsonContent(answer?.content), 'schema'))
  if (answer === undefined || schema === undefined) return []
  const byName = new Map(
    [...listOf(item.parameters), ...listOf(get.parameters)]
      .flatMap((node) => parameterOf(schemas, node))
      .map((parameter) => [`${parameter.place} ${parameter.name}`, parameter]),
  )
  return [
    {
      path,
      summary: textOf(get.summary) ?? textOf(get.description) ?? '',
      isDeprecated: get.deprecated === true,
      parameters: [...byName.values()],
      security: get.security ?? schemas.document.security,
      schema,
      headers: isNode(answer.headers) ? Object.keys(answer.headers).map((name) => name.toLowerCase()) : [],
    },
  ]
}

export function operationsOf(schemas: Schemas): readonly Operation[] {
  const { paths } = schemas.document
  return Object.entries(isNode(paths) ? paths : {}).flatMap(([path, node]) => {
    const item = schemas.at(node)
    return item === undefined || !path.startsWith('/') ? [] : operationOf(schemas, path, item)
  })
}

export const pathParameters = (path: string): readonly string[] =>
  [...path.matchAll(/\{([^{}]+)\}/g)].map(([, name = '']) => name)

/** `/v1/companies/{id}/people` → `people` */
export function lastWord(path: string): string {
  return (
    path
      .split('/')
      .findLast((part) => part !== '' && !part.includes('{'))
      ?.replace(/\.json$/, '') ?? ''
  )
}

/** Names as people write them differently: `page[size]`, `page_size` and `pageSize` are one. */
export const plainName = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '')
