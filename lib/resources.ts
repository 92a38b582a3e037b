/** How much of the machine is in use: CPU since the last look, memory, and the disk of a folder. */
import { readFile, statfs } from 'node:fs/promises'
import { cpus, freemem, totalmem } from 'node:os'

/** Percent in use, 0 to 100; what could not be measured is left out. */
interface ResourceSample {
  readonly cpu?: number
  readonly memory: number
  readonly disk?: number
}

/** Makes a sampler; the first sample has no CPU, for there is nothing to compare with. */
export function createResourceSampler(folder: string): () => Promise<ResourceSample> {
  let before: CpuTimes | undefined
  return async () => {
    const now = cpuTimes()
    const cpu = before && busyPercent(before, now)
    before = now
    const disk = await diskPercent(folder)
    return {
      ...(cpu === undefined ? {} : { cpu }),
      ...(disk === undefined ? {} : { disk }),
      memory: await memoryPercent(),
    }
  }
}

/** As df counts: what is reserved for root is neither used nor free. */
async function diskPercent(folder: string): Promise<number | undefined> {
  const disk = await statfs(folder).catch(() => undefined)
  if (!disk) return undefined
  const used = disk.blocks - disk.bfree
  return percent(used, used + disk.bavail)
}

interface CpuTimes {
  readonly idle: number
  readonly all: number
}

function cpuTimes(): CpuTimes {
  let idle = 0
  let all = 0
  for (const { times } of cpus()) {
    idle += times.idle
    all += times.user + times.nice + times.sys + times.irq + times.idle
  }
  return { idle, all }
}

function busyPercent(before: CpuTimes, now: CpuTimes): number | undefined {
  const all = now.all - before.all
  return all <= 0 ? undefined : percent(all - (now.idle - before.idle), all)
}

/** Linux counts its caches as used; what programs could get is MemAvailable. */
async function memoryPercent(): Promise<number> {
  const total = totalmem()
  const info = await readFile('/proc/meminfo', 'utf8').catch(() => '')
  const available = Number(/^MemAvailable:\s+(\d+) kB/m.exec(info)?.[1] ?? Number.NaN) * 1024
  return percent(total - (Number.isNaN(available) ? freemem() : available), total)
}

function percent(part: number, whole: number): number {
  return whole <= 0 ? 0 : Math.min(100, Math.max(0, (part / whole) * 100))
}
