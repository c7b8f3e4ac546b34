/** What the files of a new connector call the same things. Pure. */
import { identifierOf, Names } from '../openapi/names.ts'
import type { Plan, PlannedStream, PlannedValue } from '../openapi/plan.ts'
import { type Code, literal, templateText } from './code.ts'

/** What the written files import, and words of the language. */
const RESERVED = [
  'bigint',
  'boolean',
  'date',
  'decimal',
  'defineConnector',
  'defineTable',
  'float',
  'integer',
  'json',
  'number',
  'rest',
  'text',
  'timestamp',
  'restFixture',
  'runConformance',
  'lineText',
  'withScratchDatabase',
  'options',
  'secret',
  'url',
  'id',
  'n',
  'item',
  'items',
  'next',
  'body',
  'Object',
  'String',
  'DAY',
  'HOUR',
  ...'arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for function if implements import in instanceof interface let new null package private protected public return static super switch this throw true try typeof undefined var void while with yield'.split(
    ' ',
  ),
]

export interface Words {
  /** The connector's function. */
  readonly connector: string
  readonly fixture: string
  readonly optionsType: string
  readonly tableOf: (stream: PlannedStream) => string
}

export function wordsOf({ name, streams }: Plan): Words {
  const names = new Names(RESERVED)
  const camel = identifierOf(name, 'camel')
  const connector = names.take(camel, `${camel}Connector`)
  const fixture = names.take(`${camel}Fixture`)
  const tables = new Map(
    streams.map((stream) => {
      const own = identifierOf(stream.table, 'camel')
      return [stream.table, names.take(own, `${own}Table`)]
    }),
  )
  return {
    connector,
    fixture,
    optionsType: `${identifierOf(name, 'pascal')}Options`,
    tableOf: ({ table }) => tables.get(table) ?? table,
  }
}

/** As an expression in which the connector's options are `options`. */
export function pathCode(values: readonly PlannedValue[], tail = ''): string {
  if (tail === '' && values.every((value) => 'text' in value))
    return literal(values.map((value) => ('text' in value ? value.text : '')).join(''))
  const parts = values.map((value) =>
    'text' in value ? templateText(value.text) : `\${encodeURIComponent(options.${value.option})}`,
  )
  return `\`${parts.join('')}${tail}\``
}

/** The same, with the kit's values for the options, which are their names. */
export const kitPath = (values: readonly PlannedValue[]): string =>
  values.map((value) => ('text' in value ? value.text : value.option)).join('')

export const valueCode = (value: PlannedValue): string =>
  'text' in value ? literal(value.text) : `options.${value.option}`

/** A path into a body: text where it can be, else a function. */
export function selectorCode(path: readonly string[], argument: string): Code {
  if (path.every((name) => !name.includes('.') && name !== '')) return literal(path.join('.'))
  return { arrow: `(${argument})`, body: path.reduce((inner, name) => `Object(${inner})[${literal(name)}]`, argument) }
}
