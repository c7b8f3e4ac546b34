/**
 * What a tap has, asked once a day and for each change of its packages or configuration, and kept in its folder.
 * Invariant: a catalog is kept whole or not at all; a tap that knows no discovery is run without a catalog.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { type SourceContext, SourceError } from '../../define/index.ts'
import { type Catalog, readCatalog } from './catalog.ts'
import { tapFailure } from './failure.ts'
import { readAs, readIfThere, sha256, writePrivately } from './folder.ts'
import { readLine } from './message.ts'
import { type Tap, TapRun } from './run.ts'

const FRESH_MS = 86_400_000
const MAX_CATALOG_CHARS = 128 * 1024 * 1024
const DOING = 'saying what it has'

export interface Discovered {
  readonly catalog: Catalog | null
  /** How this tap wants the catalog; old ones know `--properties` only. */
  readonly flag: '--catalog' | '--properties'
}

const discoveredFile = z.object({
  id: z.string(),
  discoveredMs: z.number(),
  /** As text, so that its numbers keep their digits. */
  catalog: z.string().nullable(),
  flag: z.enum(['--catalog', '--properties']),
})
type Kept = z.infer<typeof discoveredFile>

const fileOf = (tap: Tap) => join(tap.folder.path, 'discovered.json')
const idOf = ({ spec, installed }: Tap) => sha256(JSON.stringify([installed.id, installed.command, spec.config]))

async function readKept(tap: Tap): Promise<Kept | undefined> {
  const kept = readAs(discoveredFile, (await readIfThere(fileOf(tap))) ?? '')
  return kept?.id === idOf(tap) ? kept : undefined
}

/** null: it began to read, or does not know the word. */
async function ask(tap: Tap, context: SourceContext): Promise<string | null> {
  await using run = await TapRun.start(tap, ['--discover'], {}, context, DOING)
  const lines: string[] = []
  let chars = 0
  for (let pulled = await run.next(1_000); pulled !== 'end'; pulled = await run.next(1_000)) {
    if (pulled === 'idle') continue
    for (const { text, tooLong } of pulled) {
      chars += text.length
      if (tooLong !== undefined || chars > MAX_CATALOG_CHARS) throw noCatalog('one that is too long')
      if (readLine(text).kind === 'message') return null
      lines.push(text)
    }
  }
  const ended = await run.ended()
  const said = ended.said.join('\n')
  if (ended.code === 2 && /unrecognized arguments:.*--discover|no such option.*--discover/i.test(said)) return null
  if (ended.code !== 0) throw tapFailure(ended, DOING)
  return lines.join('\n')
}

function noCatalog(what: string): SourceError {
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_TAP_CATALOG',
    message: `Asked what it has (--discover), the tap ended well but gave no catalog, but ${what}.`,
    mend: 'Run it by hand with --discover. Is it a Singer tap, and is its configuration whole?',
  })
}

/** @throws SourceError */
export async function discover(tap: Tap, context: SourceContext): Promise<Discovered> {
  const kept = await readKept(tap)
  if (kept !== undefined && context.now() - kept.discoveredMs < FRESH_MS) {
    const catalog = kept.catalog === null ? null : readCatalog(kept.catalog)
    if (catalog !== undefined) return { catalog, flag: kept.flag }
  }
  const text = await ask(tap, context)
  const catalog = text === null ? null : readCatalog(text)
  if (catalog === undefined) throw noCatalog(text?.trim() === '' ? 'nothing' : `"${text?.trim().slice(0, 100)}"`)
  const flag = kept?.flag ?? '--catalog'
  await keep(tap, { catalog, flag }, context)
  return { catalog, flag }
}

async function keep(tap: Tap, { catalog, flag }: Discovered, context: SourceContext): Promise<void> {
  const kept: Kept = {
    id: idOf(tap),
    discoveredMs: context.now(),
    catalog: catalog === null ? null : JSON.stringify(catalog),
    flag,
  }
  await writePrivately(fileOf(tap), JSON.stringify(kept))
}

/** The next run asks with this flag at once. */
export async function rememberFlag(tap: Tap, discovered: Discovered, context: SourceContext): Promise<void> {
  await keep(tap, discovered, context)
}
