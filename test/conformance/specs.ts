/** Every connector that is held to the kit; a new one is added here and by a test of its own. */
import type { ConformanceSpec } from '../../src/conformance/index.ts'
import { singerSpec } from '../singer/conformance.ts'
import { whyNoPython } from '../singer/python.ts'
import { acmeFixture } from './acme.ts'
import { acme } from './acme-connector.ts'
import { brregSpec } from './brreg.ts'
import { filesSpec } from './files.ts'
import { githubSpec } from './github.ts'
import { hubspotSpec } from './hubspot.ts'
import { postgresSpec } from './postgres.ts'
import { rdapSpec } from './rdap.ts'
import { trancoSpec } from './tranco.ts'

export const SPECS: readonly ConformanceSpec[] = [
  hubspotSpec,
  brregSpec,
  rdapSpec(),
  trancoSpec(),
  githubSpec(),
  {
    name: 'acme (the example)',
    connector: ({ url, secret }) => acme({ url, token: secret }),
    fixture: acmeFixture,
  },
  ...(whyNoPython === undefined ? [singerSpec()] : []),
  filesSpec,
  postgresSpec,
]
