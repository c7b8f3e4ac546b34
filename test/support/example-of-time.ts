/** The example of docs/add-a-feature.md about time, word for word from the empty line on (test/house/examples.test.ts). */
import { company, history, TYPED_BY_A_PERSON } from '../../features/company-entity.ts'
import { daysSince, defineFeature } from '../../src/define/index.ts'

const lately = history.window('30d', { on: 'changed_at', zone: 'Europe/Oslo', slack: '1h' })

export const attention = defineFeature({
  entity: company,
  name: 'attention',
  version: 1,
  type: 'number',
  description: 'Edits by people in the last 30 days, worth less the longer the last change of the record is ago',
  inputs: {
    edits: lately.count({ where: { source_type: TYPED_BY_A_PERSON } }),
    quietDays: daysSince(company.columns.hs_lastmodifieddate, { zone: 'Europe/Oslo', slack: '1h' }),
  },
  compute: ({ edits, quietDays }) => (quietDays === null ? null : edits / (1 + Math.max(0, quietDays))),
})
