/**
 * Memory of a process, from the kernel.
 * Invariant: VmHWM, not ru_maxrss, where there is /proc: the latter starts a child at the memory of the process that
 * forked it.
 */
import { readFile } from 'node:fs/promises'

export interface MemoryUse {
  readonly rssMb: number
  readonly peakRssMb: number
}

/** Of this process. */
export async function memoryOfSelf(): Promise<MemoryUse> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => null)
  if (status === null) {
    return { rssMb: inMb(process.memoryUsage.rss() / 1024), peakRssMb: inMb(process.resourceUsage().maxRSS) }
  }
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1])
  return { rssMb: inMb(kilobytes('VmRSS')), peakRssMb: inMb(kilobytes('VmHWM')) }
}

const inMb = (kilobytes: number) => Math.round(kilobytes / 1024)
