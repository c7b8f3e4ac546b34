/** HubSpot's connector passes the kit against the simulated portal. */
import { expect, test } from 'vitest'
import { lineText, runConformance } from '../../src/conformance/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { hubspotSpec } from './hubspot.ts'

test('the HubSpot connector passes the kit', async () => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(hubspotSpec, { pool: database.pool })
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
  expect(lines.filter(({ result }) => result === 'not applicable').map(lineText)).toEqual([
    'n/a   one poison record is set aside alone: no record of this source can be one',
  ])
})
