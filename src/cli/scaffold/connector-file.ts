/** The source of a new connector. Pure. */
import type { PlannedAccess } from '../openapi/access.ts'
import type { Plan, PlannedStream } from '../openapi/plan.ts'
import { type Code, commentText, type Entry, importOf, literal, render } from './code.ts'
import { pathCode, selectorCode, valueCode, type Words } from './words.ts'

/** Names of what `http.auth` takes from the options, each with what it is. */
export const CREDENTIAL: Readonly<
  Record<PlannedAccess['kind'], readonly (readonly [name: string, comment: string])[]>
> = {
  none: [],
  bearer: [['token', 'Sent as `Authorization: Bearer …`.']],
  basic: [
    ['user', 'Sent with the password as `Authorization: Basic …`.'],
    ['password', 'Never logged.'],
  ],
  header: [['key', 'Sent in a header.']],
  query: [['key', 'Sent as a query parameter; kept out of every log.']],
  oauth: [
    ['clientId', 'Of the application registered with the source.'],
    ['clientSecret', 'Never logged.'],
  ],
}

function authCode(access: PlannedAccess): Code | undefined {
  const kind = literal(access.kind)
  const from = (name: string): Entry => [name, `options.${name}`]
  switch (access.kind) {
    case 'none':
      return undefined
    case 'bearer':
      return { object: [['kind', kind], from('token')], short: true }
    case 'basic':
      return { object: [['kind', kind], from('user'), from('password')], short: true }
    case 'header':
    case 'query':
      return {
        object: [
          ['kind', kind],
          ['name', literal(access.name)],
          ['value', 'options.key'],
        ],
        short: true,
      }
    case 'oauth': {
      const refresh: readonly Entry[] = access.grant === 'refresh-token' ? [from('refreshToken')] : []
      const url: Entry = ['tokenUrl', `options.tokenUrl ?? ${literal(access.tokenUrl)}`]
      return { object: [['kind', kind], url, from('clientId'), from('clientSecret'), ...refresh] }
    }
  }
}

function optionsType(plan: Plan, words: Words): string {
  const { access, baseUrl, options } = plan
  const lines: string[] = []
  const add = (name: string, comment: string, isOptional = false) =>
    lines.push(
      `  /** ${commentText(comment)} */`,
      `  readonly ${name}${isOptional ? '?' : ''}: string${isOptional ? ' | undefined' : ''}`,
    )
  for (const [name, comment] of CREDENTIAL[access.kind]) add(name, comment)
  if (access.kind === 'oauth') {
    if (access.grant === 'refresh-token')
      add('refreshToken', 'Got once, when a person gave the application its rights.')
    add('tokenUrl', `Default: ${access.tokenUrl}`, true)
  }
  for (const { name, comment } of options) add(name, comment)
  if (baseUrl === null) add('baseUrl', 'Such as https://api.example.com/v1: the document does not say.')
  else add('baseUrl', `Default: ${baseUrl}`, true)
  return `export interface ${words.optionsType} {\n${lines.join('\n')}\n}\n`
}

function tableCode(plan: Plan, stream: PlannedStream, words: Words): string {
  const columns = stream.fields.map(
    ({ column, kind }): Entry => [column, column === stream.key ? `${kind}().notNull()` : `${kind}()`],
  )
  const kept: Entry = ['raw', 'json()', 'Fields without a column, and values that do not fit theirs.']
  const spec: Code = {
    object: [
      ['name', literal(`${schemaOf(plan)}.${stream.table}`)],
      ['key', literal(stream.key)],
      ['columns', { object: [...columns, kept] }],
    ],
  }
  return `export const ${words.tableOf(stream)} = ${render({ call: 'defineTable', argument: spec }, 0, 40)}\n`
}

export const schemaOf = ({ name }: Plan): string => name.replaceAll('-', '_')

function pagingCode({ paging }: PlannedStream): readonly Entry[] {
  if (paging === null) return []
  const size: readonly Entry[] =
    paging.size === undefined
      ? []
      : [
          [
            'size',
            {
              object: [
                ['parameter', literal(paging.size.parameter)],
                ['value', String(paging.size.value)],
              ],
              short: true,
            },
          ],
        ]
  const by: Entry = ['by', literal(paging.by)]
  const own: readonly Entry[] =
    paging.by === 'link'
      ? paging.next === null
        ? []
        : [['next', selectorCode(paging.next, 'body')]]
      : [['parameter', literal(paging.parameter)]]
  const more: readonly Entry[] =
    paging.by === 'cursor'
      ? [['next', selectorCode(paging.next, 'body')]]
      : paging.by === 'page' && paging.first !== 1
        ? [['first', String(paging.first)]]
        : []
  return [['paging', { object: [by, ...own, ...more, ...size], short: true }]]
}

function streamCode(stream: PlannedStream, words: Words): Code {
  const { changed, one, query, items, tombstone } = stream
  const list: Entry[] = [['path', pathCode(stream.path)]]
  if (query.length > 0)
    list.push(['query', { object: query.map(([name, value]): Entry => [name, valueCode(value)]), short: true }])
  if (items.length > 0) list.push(['items', selectorCode(items, 'body')])
  list.push(...pagingCode(stream))
  if (changed !== undefined) {
    const format: readonly Entry[] = changed.format === 'iso' ? [] : [['format', literal(changed.format)]]
    const newerBy: readonly Entry[] = changed.newerBy === undefined ? [] : [['newerBy', literal(changed.newerBy)]]
    list.push(['changed', { object: [['parameter', literal(changed.parameter)], ...format, ...newerBy], short: true }])
  }
  const spec: Entry[] = [['table', words.tableOf(stream)]]
  if (changed === undefined) spec.push(['everyMs', 'HOUR'])
  spec.push(['list', { object: list }])
  if (one !== undefined) {
    const path: Entry = [
      'path',
      { arrow: '(id)', body: pathCode(one.before, `\${encodeURIComponent(id)}${one.after}`) },
    ]
    spec.push([
      'one',
      {
        object: [path, ...(one.item.length === 0 ? [] : [['item', selectorCode(one.item, 'body')] as const])],
        short: true,
      },
    ])
  }
  const moved = stream.fields.filter(
    ({ column, path }) => path.length > 1 || path[0] !== column || column.includes('.'),
  )
  if (moved.length > 0)
    spec.push(['columns', { object: moved.map(({ column, path }): Entry => [column, selectorCode(path, 'item')]) }])
  if (tombstone !== undefined) spec.push(['deleted', selectorCode(tombstone.path, 'item')])
  spec.push(['sweep', { object: [['everyMs', 'DAY']], short: true }])
  return { call: 'rest', argument: { object: spec } }
}

function connectorCode(plan: Plan, words: Words): string {
  const auth = authCode(plan.access)
  const base = plan.baseUrl === null ? 'options.baseUrl' : `options.baseUrl ?? ${literal(plan.baseUrl)}`
  const http: Entry[] = [['baseUrl', base]]
  if (auth !== undefined) http.push(['auth', auth])
  if (plan.headers.length > 0)
    http.push(['headers', { object: plan.headers.map(([name, value]): Entry => [name, valueCode(value)]) }])
  if (plan.rateHeaders !== undefined) {
    http.push([
      'rateHeaders',
      { object: Object.entries(plan.rateHeaders).map(([name, value]): Entry => [name, literal(value)]), short: true },
    ])
  }
  const budget: Code = {
    object: [
      ['key', literal(plan.name)],
      ['calls', '5'],
      ['perMs', '1_000'],
      ['concurrency', '2'],
    ],
    short: true,
  }
  const spec: Code = {
    object: [
      ['name', literal(plan.name)],
      ['http', { object: http }],
      ['budgets', { list: [budget] }, 'A guess: give it what the source allows.'],
      ['streams', { list: plan.streams.map((stream) => streamCode(stream, words)) }],
    ],
  }
  return `export function ${words.connector}(options: ${words.optionsType}) {\n  return ${render({ call: 'defineConnector', argument: spec }, 1, 40)}\n}\n`
}

export function connectorFile(plan: Plan, words: Words): string {
  const kinds = plan.streams.flatMap(({ fields }) => fields.map(({ kind }) => kind))
  const origin =
    plan.from === null ? 'Begun blank: everything here is an example.' : `Written from ${commentText(plan.from)}.`
  const usesHour = plan.streams.some(({ changed }) => changed === undefined)
  const times = `${usesHour ? 'const HOUR = 3_600_000\n' : ''}const DAY = 86_400_000\n`
  return [
    `/**\n * ${commentText(plan.title)}, read over HTTP. ${origin}\n * What was guessed and what nobody could know stands in ${plan.name}.notes.md.\n */\n`,
    importOf(['defineConnector', 'defineTable', 'rest', 'json', ...kinds], 'rescore'),
    '\n',
    `${times}\n`,
    plan.streams.map((stream) => tableCode(plan, stream, words)).join('\n'),
    '\n',
    optionsType(plan, words),
    '\n',
    connectorCode(plan, words),
  ].join('')
}
