/**
 * A folder with one CSV file that is always the whole table, as the fixture of the files connector. What the kit plays
 * between connector and source does not apply to it: there is nothing between.
 */
import { mkdtempSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { files } from '../../connectors/files/index.ts'
import { CHECKS, type ConformanceSpec, type Fixture, manualClock } from '../../src/conformance/index.ts'
import { bigint, defineTable, json, number, text } from '../../src/define/index.ts'

const companies = defineTable({
  name: 'files.companies',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), employees: number(), raw: json() },
})

interface Row {
  readonly id: string
  readonly name: string
  readonly employees: string
}

const ODD = ['NUL \0 in it', '🚀 Zürich\n東京, "quoted"', 'ä'.repeat(1_000_000)]

class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'rescore-kit-files-'))
  readonly rows = new Map<string, Row>()
  readonly removed: Row[] = []
  poison = ''
  #next = 1

  async create(count: number): Promise<void> {
    for (let made = 0; made < count; made += 1, this.#next += 1) {
      const id = String(this.#next)
      this.rows.set(id, { id, name: `Company ${id}`, employees: String(this.#next % 500) })
    }
    await this.write()
  }

  async change(count: number): Promise<void> {
    const all = [...this.rows.values()]
    for (let at = 0; at < count; at += 1) {
      const row = all[(at * 37) % all.length]
      if (row !== undefined) this.rows.set(row.id, { ...row, name: `${row.name}'` })
    }
    await this.write()
  }

  async remove(count: number): Promise<readonly Row[]> {
    const gone = [...this.rows.values()].slice(0, count)
    for (const { id } of gone) this.rows.delete(id)
    this.removed.push(...gone)
    await this.write()
    return gone
  }

  async restore(): Promise<void> {
    for (const row of this.removed.splice(0)) this.rows.set(row.id, row)
    await this.write()
  }

  async oddValues(): Promise<void> {
    for (const [at, name] of ODD.entries()) {
      const id = String(9_007_199_254_740_993n + BigInt(at))
      this.rows.set(id, { id, name, employees: '9007199254740993' })
    }
    await this.write()
  }

  /** Renamed into place, as a program that cares does it. */
  async write(): Promise<void> {
    const quoted = (value: string) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value)
    const lines = [...this.rows.values()].map(({ id, name, employees }) => [id, name, employees].map(quoted).join(','))
    const target = join(this.path, 'companies.csv')
    await writeFile(`${target}.new`, `id,name,employees\n${this.poison}${lines.join('\n')}\n`)
    await rename(`${target}.new`, target)
  }
}

/** A connector is made for the fixture that was made last. */
let folder: Folder | undefined

async function fixture(): Promise<Fixture> {
  const own = new Folder()
  folder = own
  await own.create(250)
  const clean = (value: string) => value.replaceAll('\0', '\uFFFD')
  return {
    // Nothing listens there: whoever called it would fail.
    url: 'http://127.0.0.1:9',
    clock: manualClock(),
    truth: () => ({ [companies.id]: [...own.rows.values()].map((row) => ({ ...row, name: clean(row.name) })) }),
    create: (count) => own.create(count),
    change: (count) => own.change(count),
    remove: async (count) => void (await own.remove(count)),
    restore: () => own.restore(),
    erase: async () => (await own.remove(1))[0]?.id ?? '',
    poison: async () => {
      own.poison = 'not-a-number,Poison,1\n'
      await own.write()
    },
    oddValues: () => own.oddValues(),
    [Symbol.asyncDispose]: () => rm(own.path, { recursive: true, force: true }),
  }
}

const WIRE = /^nothing is lost to|^an abort ends|^a token that ends|^a refused credential|^records that change while/

export const filesSpec: ConformanceSpec = {
  name: 'files (a CSV snapshot)',
  connector: () =>
    files({ streams: [{ table: companies, path: join(folder?.path ?? tmpdir(), 'companies.csv'), mode: 'snapshot' }] }),
  fixture,
  notApplicable: Object.fromEntries(
    CHECKS.filter(({ name }) => WIRE.test(name)).map(({ name }) => [
      name,
      'files are read without a call; connectors/files/files.pg.test.ts has the faults of files',
    ]),
  ),
}
