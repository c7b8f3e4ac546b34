/** What a process has used, from the kernel: the same for our capture, for a JVM and for pg_recvlogical. Linux only. */
import { readFile } from 'node:fs/promises'
import { round } from './statistics.ts'

/** Clock ticks a second; fixed on Linux for all its interfaces. */
const TICKS = 100

export interface ProcessUse {
  readonly cpuSeconds: number
  readonly peakRssMb: number
}

export async function useOf(pid: number): Promise<ProcessUse> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
  ])
  // Behind the name, which may hold anything, stands the state; user and system time are 12th and 13th from there.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const kilobytes = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1])
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS,
    peakRssMb: round(kilobytes / 1024),
  }
}
