/** A small file system in memory that can really be full or read-only: needs root; skipped without, failing where CI=true. */
import { test } from 'bun:test'

const canMount = process.platform === 'linux' && process.getuid?.() === 0 && Bun.which('mount') !== null

export function testWithMount(name: string, run: () => Promise<void>): void {
  if (canMount) test(name, run)
  else if (process.env['CI'] !== 'true') test.skip(`${name} (needs root, to mount a disk)`, () => undefined)
  else
    test(name, () => {
      throw new Error('only root can mount a small disk, on Linux')
    })
}

/** Mounts over `path`, which exists; unmounts on disposal. */
export function mountSmallDisk(
  path: string,
  sizeKib: number,
): Disposable & { remountReadOnly(): void; remountReadWrite(): void } {
  run(['mount', '-t', 'tmpfs', '-o', `size=${sizeKib}k,mode=700`, 'lightwire-test', path])
  return {
    remountReadOnly: () => run(['mount', '-o', 'remount,ro', path]),
    remountReadWrite: () => run(['mount', '-o', 'remount,rw', path]),
    // Lazily: a process that just ended may still hold a file.
    [Symbol.dispose]: () => run(['umount', '-l', path]),
  }
}

function run(command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString()}`)
}
