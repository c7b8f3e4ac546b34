/** The fixture of a new connector: its source as far as the plan knows it. Pure. */
import type { Plan, PlannedStream } from '../openapi/plan.ts'
import type { Field } from '../openapi/records.ts'
import { type Code, commentText, type Entry, importOf, literal, nameOf, render, templateText } from './code.ts'
import { kitPath, type Words } from './words.ts'

const isLoose = ({ values, format }: Field) => values.length === 0 && format === undefined

/** A field whose text may be anything. */
function looseText({ fields, key }: PlannedStream): Field | undefined {
  const texts = fields.filter(({ kind, column }) => kind === 'text' && column !== key)
  return texts.find(isLoose) ?? texts.find(({ values }) => values.length === 0)
}

function sampleOf(field: Field, { key, tombstone, table }: PlannedStream): string {
  const { column, kind, format, values } = field
  if (column === tombstone?.column) return kind === 'boolean' ? 'false' : 'null'
  const [value] = values
  if (column === key && kind === 'text') {
    return format === 'uuid'
      ? `\`00000000-0000-4000-8000-\${String(n).padStart(12, '0')}\``
      : `\`${templateText(table)}-\${n}\``
  }
  switch (kind) {
    case 'boolean':
      return 'n % 2 === 0'
    case 'timestamp':
      return literal('2026-01-01T00:00:00Z')
    case 'date':
      return literal('2026-01-01')
    case 'text':
    case 'decimal':
      return typeof value === 'string'
        ? literal(value)
        : kind === 'decimal'
          ? `\`\${n}.50\``
          : `\`${templateText(column)} \${n}\``
    default:
      return 'n'
  }
}

/** Values put at their paths, as the literal of one object. */
function nested(leaves: readonly (readonly [path: readonly string[], value: string])[], isShort: boolean): Code {
  const names = [...new Set(leaves.map(([[name = '']]) => name))]
  const entries = names.map((name): Entry => {
    const below = leaves.filter(([path]) => path[0] === name)
    const own = below.find(([path]) => path.length === 1)
    return [
      name,
      own?.[1] ??
        nested(
          below.map(([path, value]) => [path.slice(1), value]),
          isShort,
        ),
    ]
  })
  return { object: entries, short: isShort }
}

function bodyCode({ items, paging }: PlannedStream): Entry | undefined {
  const next = paging !== null && 'next' in paging ? paging.next : null
  if (items.length === 0) return undefined
  const leaves = [[items, 'items'] as const, ...(next === null ? [] : [[next, 'next'] as const])]
  return ['body', { arrow: next === null ? '({ items })' : '({ items, next })', body: nested(leaves, true) }]
}

function pagingCode({ paging }: PlannedStream): readonly Entry[] {
  if (paging === null) return []
  const entries: Entry[] = [['by', literal(paging.by)]]
  if (paging.by !== 'link') entries.push(['parameter', literal(paging.parameter)])
  if (paging.by === 'page' && paging.first !== 1) entries.push(['first', String(paging.first)])
  if (paging.by === 'link' && paging.next === null) entries.push(['linkHeader', 'true'])
  if (paging.size !== undefined) {
    entries.push([
      'size',
      {
        object: [
          ['parameter', literal(paging.size.parameter)],
          ['value', String(paging.size.value)],
        ],
        short: true,
      },
    ])
  }
  return [['paging', { object: entries, short: true }]]
}

function listCode(stream: PlannedStream, words: Words): Code {
  const { fields, changed, one, tombstone } = stream
  const entries: Entry[] = [
    ['table', words.tableOf(stream)],
    ['path', literal(kitPath(stream.path))],
    ...pagingCode(stream),
  ]
  if (one !== undefined) {
    const path: Entry = ['path', literal(`${kitPath(one.before)}{key}${one.after}`)]
    const body: readonly Entry[] =
      one.item.length === 0 ? [] : [['body', { arrow: '(item)', body: nested([[one.item, 'item']], true) }]]
    entries.push(['one', { object: [path, ...body], short: true }])
  }
  if (changed !== undefined) {
    const field = fields.find(({ column }) => column === changed.newerBy)
    const format: readonly Entry[] = changed.format === 'iso' ? [] : [['format', literal(changed.format)]]
    const at: readonly Entry[] = field === undefined ? [] : [['field', literal(field.path.join('.'))]]
    entries.push(['changed', { object: [['parameter', literal(changed.parameter)], ...format, ...at], short: true }])
  }
  const leaves = fields.map((field) => [field.path, sampleOf(field, stream)] as const)
  entries.push(['record', { arrow: '(n)', body: nested(leaves, false) }])
  const body = bodyCode(stream)
  if (body !== undefined) entries.push(body)
  const moved = fields.filter(({ column, path }) => path.join('.') !== column)
  if (moved.length > 0)
    entries.push(['columns', { object: moved.map(({ column, path }): Entry => [column, literal(path.join('.'))]) }])
  const text = looseText(stream)
  if (text !== undefined) entries.push(['text', literal(text.path.join('.'))])
  const number = fields.find((field) => field.kind === 'number' && isLoose(field))
  if (number !== undefined) entries.push(['number', literal(number.path.join('.'))])
  if (tombstone !== undefined) entries.push(['deleted', literal(tombstone.path.join('.'))])
  return { object: entries }
}

function authCode({ access }: Plan): Code | undefined {
  const kind: Entry = ['kind', literal(access.kind)]
  switch (access.kind) {
    case 'none':
      return undefined
    case 'bearer':
      return { object: [kind, ['token', 'secret']], short: true }
    case 'basic':
      return { object: [kind, ['user', literal('kit')], ['password', 'secret']], short: true }
    case 'oauth':
      return {
        object: [kind, ['tokenUrl', literal('/token')], ['clientId', literal('kit')], ['clientSecret', 'secret']],
        short: true,
      }
    default:
      return { object: [kind, ['name', literal(access.name)], ['value', 'secret']], short: true }
  }
}

export function fixtureFile(plan: Plan, words: Words): string {
  const auth = authCode(plan)
  const spec: Code = {
    object: [
      ...(auth === undefined ? [] : [['auth', auth] as const]),
      ['lists', { list: plan.streams.map((stream) => listCode(stream, words)) }],
    ],
  }
  const argument = auth === undefined ? '' : '{ secret }: { readonly secret: string }'
  return [
    `/**\n * ${commentText(plan.title)} as far as it is known: what the connector is proved against. Where the real one answers\n * otherwise, change it here first, and then the connector until it passes again.\n */\n`,
    importOf(['restFixture'], 'rescore/conformance'),
    importOf(
      plan.streams.map((stream) => words.tableOf(stream)),
      `./${plan.name}.ts`,
    ),
    `\nexport function ${nameOf(words.fixture)}(${argument}) {\n  return ${render({ call: 'restFixture', argument: spec }, 1, 30)}\n}\n`,
  ].join('')
}
