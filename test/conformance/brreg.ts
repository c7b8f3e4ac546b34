import { brreg } from '../../connectors/brreg/index.ts'
import { type ConformanceSpec, type Fixture, startFixtureServer } from '../../src/conformance/index.ts'

import { Register } from './brreg-register.ts'

export async function brregFixture(): Promise<Fixture> {
  const register = new Register(240)
  const server = await startFixtureServer((request) => register.answer(request))
  return {
    url: server.url,
    clock: register.clock,
    truth: () => register.truth(),
    create: (count, options) => register.create(count, options),
    change: (count) => register.change(count),
    remove: (count) => register.remove(count),
    restore: () => register.restore(),
    erase: () => register.erase(),
    oddValues: () => register.oddValues(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

const OPEN_DATA = 'open data: there is no credential'

export const brregSpec: ConformanceSpec = {
  name: 'brreg',
  connector: ({ url }) => brreg({ baseUrl: url, pageSize: 100 }),
  fixture: brregFixture,
  notApplicable: {
    'a token that ends in the middle of a run': OPEN_DATA,
    'a merged record lives on as another': 'the register deletes one of two merged units',
    'one poison record is set aside alone': 'every record of this source has its number',
  },
}
