/** The notes beside a new connector: what was guessed, what could not be known, what was left out. Pure. */
import type { Plan, PlannedStream } from '../openapi/plan.ts'
import { commentText } from './code.ts'
import type { Words } from './words.ts'

const MOST_LEFT_OUT = 40

const point = (text: string) => `- ${commentText(text)}`

function streamNotes(plan: Plan, stream: PlannedStream): readonly string[] {
  const { table, documented, notes, fields, one } = stream
  const read =
    one === undefined
      ? ['One record cannot be read alone: `--ids` and the replay of rejects need `one` or `many`.']
      : []
  const columns = `${fields.length} fields are columns; everything else of a record is kept in \`raw\`.`
  return [
    `### ${plan.name}.${table}: GET ${commentText(documented)}`,
    '',
    ...[columns, ...notes, ...read].map(point),
    '',
  ]
}

const UNKNOWN = [
  'How many calls the source allows: `budgets` is a guess of five a second. With a rate header, `http.rateHeaders` follows it.',
  'Whether a list is in a stable order while it is read, and whether it shows a change at once.',
  'What a record looks like that is deleted, archived or merged, and whether a list still shows it.',
  'Which answers mean something else than their status says: `http.failure` names them.',
  'Which fields may be larger, longer or of another type than the document says: such values go to `raw`, never lost.',
]

export function notesFile(plan: Plan, words: Words): string {
  const { name, from, notes, streams, leftOut, headers, options, rateHeaders } = plan
  const guessed = [
    ...notes,
    ...headers.map(([header]) => `Every call carries the header \`${header}\`, which the document requires.`),
    ...options.map((option) => `\`${option.name}\` has to be given to \`${words.connector}()\`: ${option.comment}`),
    ...(rateHeaders === undefined
      ? []
      : ['The budget follows the rate headers of the document; their units are a guess.']),
  ]
  const left = leftOut.slice(0, MOST_LEFT_OUT).map(([path, why]) => point(`\`${path}\`: ${why}`))
  const more = leftOut.length > MOST_LEFT_OUT ? [point(`and ${leftOut.length - MOST_LEFT_OUT} more`)] : []
  return `${[
    `# ${name}: what is known and what is not`,
    '',
    from === null
      ? 'Begun blank: every name below is an example, to be replaced by what the documentation of the source says.'
      : `Written from ${commentText(from)}. Nothing of it was tried against the real source.`,
    '',
    '## Guessed',
    '',
    ...guessed.map(point),
    ...(guessed.length === 0 ? [] : ['']),
    ...streams.flatMap((stream) => streamNotes(plan, stream)),
    '## Not to be known from a document',
    '',
    ...UNKNOWN.map(point),
    '',
    ...(left.length === 0
      ? []
      : [
          '## Left out',
          '',
          ...left,
          ...more,
          '',
          'A list is taken by naming it: `rescore connector new … --path /orgs/{org}/repos`',
          '',
        ]),
    '## Next',
    '',
    `1. Make one real call for each stream and hold the answer against ${name}.fixture.ts.`,
    `2. \`npx rescore connector test ${name}\` after every change of either.`,
    '3. Delete a note when it has become knowledge.',
  ].join('\n')}\n`
}
