/** What a machine can hold of the Lua sources: they compile, keep to Lightroom's globals, and are as short as all others. */
import { expect } from 'bun:test'
import { readFileSync } from 'node:fs'
import { Glob } from 'bun'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { projectRoot } from '../support/process.ts'

const LINES_MAX = 300
const find = (pattern: string) => [...new Glob(pattern).scanSync(projectRoot)].toSorted()
const own = find('clients/lua/**/*.lua')
const standIns = [...find('tests/clients/lightroom/*.lua'), 'tests/clients/drivers/client.lua']

/** What Lightroom's scripts see beside Lua's own; the plug-in uses none of those that Lightroom leaves out. */
const LIGHTROOM = ['import', '_PLUGIN']
const LEFT_OUT = ['coroutine', 'debug', 'dofile', 'io', 'load', 'loadfile', 'module', 'package', 'print']

async function luacheck(
  program: string,
  files: readonly string[],
  words: readonly string[],
): Promise<string> {
  const child = Bun.spawn(
    [program, ...files, '--std', 'lua51', '--no-color', '--codes', '--no-config', ...words],
    {
      cwd: projectRoot,
      stdout: 'pipe',
    },
  )
  const text = await new Response(child.stdout).text()
  return (await child.exited) === 0 ? '' : text
}

needs('luacheck')(
  'the plug-in and the stand-in have no global of their own, and luacheck finds nothing',
  async (found) => {
    const words = ['--globals', ...LIGHTROOM, '--not-globals', ...LEFT_OUT]

    expect(own.length).toBeGreaterThan(15)
    expect(await luacheck(found.luacheck, own, words)).toBe('')
    expect(await luacheck(found.luacheck, standIns, [])).toBe('')
  },
)

needs('luac')('every file compiles as Lua 5.1', async ({ luac }) => {
  for (const file of [...own, ...standIns]) {
    const { exitCode, stderr } = Bun.spawnSync([luac, '-p', join(projectRoot, file)])
    expect([file, exitCode, stderr.toString()]).toEqual([file, 0, ''])
  }
})

needs('luac')('no file is longer than others may be, and each begins with what it is', () => {
  for (const file of [...own, ...standIns]) {
    const text = readFileSync(join(projectRoot, file), 'utf8')
    expect([file, text.split('\n').length - 1 <= LINES_MAX]).toEqual([file, true])
    // Info.lua is data for Lightroom.
    if (!file.endsWith('/Info.lua')) expect([file, text.slice(0, 3)]).toEqual([file, '-- '])
  }
  return Promise.resolve()
})
