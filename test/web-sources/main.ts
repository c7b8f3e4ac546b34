/**
 * `npm run web-sources`: the sources of web data as fixtures, for the companies of the simulated portal of `npm start`, so
 * that all of it runs without the network. Prints the environment that leads a project to them; Ctrl-C stops.
 */
import { startFixtureServer } from '../../src/conformance/index.ts'
import { Register } from '../conformance/brreg-register.ts'
import { Organisations } from '../conformance/github.ts'
import { Registries } from '../conformance/rdap.ts'
import { LENGTH, Lists } from '../conformance/tranco.ts'
import { seedPortal } from '../simulator/index.ts'

/** As src/cli/dev-portal.ts seeds it. */
const PORTAL = { seed: 20_260_101, companies: 300 }
const TOKEN = 'web-sources-token'

const clock = { now: Date.now, advance: () => undefined }
const register = new Register(0, clock)
const registries = new Registries(0, clock)
const lists = new Lists(0, clock)
const organisations = new Organisations(TOKEN, 0, { clock })

let count = 0
for (const { properties } of seedPortal(PORTAL).live('companies')) {
  const { domain, name } = properties
  if (typeof domain !== 'string' || typeof name !== 'string') continue
  count += 1
  if (count % 2 === 0) register.add(`${name.toUpperCase()} AS`, `https://www.${domain}`, count % 90)
  if (count % 10 !== 0) registries.add(domain, domain, 'Registrar & Co.')
  lists.asked.set(domain, count % 3 === 0)
  if (count % 4 === 0) organisations.add(domain.replace('.example', ''), name, domain, count * 3)
}

const servers = {
  BRREG_BASE_URL: await startFixtureServer((request) => register.answer(request)),
  RDAP_BASE_URL: await startFixtureServer((request) => registries.answer(request)),
  TRANCO_BASE_URL: await startFixtureServer((request) => lists.answer(request)),
  GITHUB_BASE_URL: await startFixtureServer((request) => organisations.answer(request)),
}
const environment = {
  RESCORE_WEB_DATA: 'all',
  ...Object.fromEntries(Object.entries(servers).map(([name, { url }]) => [name, url])),
  TRANCO_LENGTH: LENGTH,
  GITHUB_TOKEN: TOKEN,
}
process.stdout.write(`# web data of ${count} companies; in another terminal:\n`)
for (const [name, value] of Object.entries(environment)) process.stdout.write(`export ${name}=${value}\n`)
