/** `rescore features`: the catalog of what there is. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { compileGraph } from '../graph/compile.ts'
import { type CatalogEntry, readCatalog } from '../observe/catalog.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { ageText } from './expectations.ts'
import { paint, print, printJson, table } from './output.ts'

const percent = (share: number | null) => (share === null ? '-' : `${(share * 100).toFixed(1)} %`)

function versionText({ version, deployedVersion, edit }: CatalogEntry): string {
  if (edit !== 'none') return `${version} (edited${edit === 'equivalent' ? ', equivalent' : ''})`
  if (deployedVersion === version) return String(version)
  return deployedVersion === null ? `${version} (not deployed)` : `${version} (deployed ${deployedVersion})`
}

const secondsText = (seconds: number) => (seconds < 60 ? `${seconds.toFixed(2)} s` : ageText(seconds))

function freshText({ rows, fresh, stale, isExact, aside, backfill }: CatalogEntry): string {
  if (rows === null || fresh === null) return '-'
  const about = isExact ? '' : '~'
  const waiting = backfill === null ? '' : `, backfill ${backfill}`
  const without = aside === null || aside === 0 ? '' : `, ${aside} put aside`
  const counts = stale === 0 && aside === 0 ? `all ${about}${rows}` : `${about}${fresh} of ${about}${rows}`
  return `${counts}${waiting}${without}`
}

function nullText({ nullRate, isNullRateExact }: CatalogEntry): string {
  return `${nullRate === null || isNullRateExact ? '' : '~'}${percent(nullRate)}`
}

/** `min 0, max 9, else block`, and how many values are not so. */
function expectText({ expect, violations }: CatalogEntry): string {
  if (expect === null) return '-'
  const { otherwise, ...rules } = expect
  const said = Object.entries(rules).map(([rule, limit]) =>
    limit === true ? rule : `${rule} ${JSON.stringify(limit)}`,
  )
  const broken = violations === 0 ? '' : paint(` (${violations} not so)`, 'red')
  return `${short(said.join(', '), 40)} else ${otherwise}${broken}`
}

const short = (text: string, length: number) => (text.length > length ? `${text.slice(0, length - 1)}…` : text)

export function renderCatalog(entries: readonly CatalogEntry[]): string {
  const header = ['feature', 'type', 'version', 'up to date', 'freshness', 'null', 'cut off', 'expects']
  const rows = entries.map((entry) => [
    `${entry.entity}.${entry.feature}`,
    entry.type,
    versionText(entry),
    freshText(entry),
    entry.freshnessSeconds === null ? '-' : secondsText(entry.freshnessSeconds),
    nullText(entry),
    percent(entry.cutOffRatio),
    expectText(entry),
    short(entry.reads.join(', '), 60),
    short(entry.readBy.join(', '), 40),
    short(entry.description, 60),
  ])
  return table([...header, 'reads', 'read by', 'what'], rows)
}

export function featuresCommand(): Command {
  return command('features', 'The catalog: what each feature is, reads and feeds, and how its stored values are', [
    ['rescore features', 'version, up to date, freshness, null rate, share of computations that changed nothing'],
    ['rescore features --json', 'the same with whole lists, for a catalog of your own'],
  ]).action(async ({ json }: Common) => {
    const entries = await withConnection(async ({ pool }) => {
      await pool.query('select 1')
      return readCatalog(pool, compileGraph(await loadProject(process.cwd())))
    })
    if (json === true) printJson(entries)
    else print(renderCatalog(entries))
  })
}
