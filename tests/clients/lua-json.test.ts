/** The Lua client's JSON beside JavaScript's. */
import { expect } from 'bun:test'
import fc from 'fast-check'
import { needs } from '../support/needs.ts'
import { startScript } from './lua-script.ts'

const SEED = Number(process.env['SEED'] ?? 1)
const ROUNDS = 2000
const DEPTH_MAX = 64

/** Reads each text, and reports what it wrote for it, or that it is none. */
const ECHO = `
local json = require("lightwire_json")
local report = import("Report")
for _, text in ipairs(json.decode(import("Setting")("texts"))) do
  local value, fault = json.decode(text)
  -- A number may be too large to be written again.
  local ok, text = pcall(json.encode, value)
  report(value == nil and { fault = fault } or { text = ok and text or "" })
end`

interface Echo {
  readonly text?: string
  readonly fault?: string
}

/** Few enough at a time for a command line. */
async function echo(lua: string, texts: readonly string[]): Promise<readonly Echo[]> {
  const echoes: Echo[] = []
  for (let from = 0; from < texts.length; from += 200) {
    const part = texts.slice(from, from + 200)
    await using script = startScript(lua, ECHO, { texts: JSON.stringify(part) })
    await script.ended
    echoes.push(...(script.reported as Echo[]))
  }
  return echoes
}

const number = fc.oneof(
  fc.double({ noDefaultInfinity: true, noNaN: true }),
  fc.maxSafeInteger(),
  fc.integer(),
  fc.constantFrom(0, 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 53, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 0.1),
)
const string = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }))
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false),
    number,
    string,
    fc.array(tie('any'), { maxLength: 6 }),
    fc.dictionary(string, tie('any'), { maxKeys: 6 }),
  ),
})).any

/** JSON has no sign on zero that JavaScript would write, and a name of this kind is no name in a literal. */
const plain = (text: string) => JSON.parse(text.replaceAll('__proto__', 'proto')) as unknown

needs('lua')('what JSON can say comes back the same', async ({ lua }) => {
  const texts = fc
    .sample(value, { numRuns: ROUNDS, seed: SEED })
    .flatMap((sample) => [JSON.stringify(sample), JSON.stringify(sample, null, '\t')])

  const echoes = await echo(lua, texts)

  expect(echoes).toHaveLength(texts.length)
  for (const [index, { text, fault }] of echoes.entries()) {
    expect(fault).toBeUndefined()
    expect(plain(text ?? '')).toEqual(plain(texts[index] ?? ''))
  }
})

needs('lua')('what is JSON for JavaScript is JSON for it, and nothing else', async ({ lua }) => {
  const alter = fc
    .tuple(value, fc.nat(), fc.constantFrom(...'{}[]",:0-+.eE\\u \n\t\u0001tfnax/*'), fc.nat(2))
    .map(([sample, at, char, how]) => {
      const text = JSON.stringify(sample)
      const place = at % (text.length + 1)
      return text.slice(0, place) + (how === 0 ? '' : char) + text.slice(place + (how === 1 ? 0 : 1))
    })
  const known = [
    '',
    ' ',
    '01',
    '1.',
    '.5',
    '+1',
    '-',
    '1e',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    "'a'",
    '"\\x"',
    '"\\u12"',
  ]
  const more = [
    'nul',
    'NaN',
    'Infinity',
    '[1]]',
    '// x\n1',
    '\uFEFF1',
    '"\u007f"',
    '1 2',
    '"a\nb"',
    '\u00a01',
  ]
  const halves = (text: string) =>
    /[\uD800-\uDFFF]/.test(text.replaceAll(/[\uD800-\uDBFF][\uDC00-\uDFFF]/g, ''))
  const texts = [...known, ...more, ...fc.sample(alter, { numRuns: ROUNDS, seed: SEED })].filter(
    // A half of a pair has no bytes to send.
    (text) => !halves(text),
  )

  const echoes = await echo(lua, texts)

  const isJson = (text: string) => {
    try {
      JSON.parse(text)
      return true
    } catch {
      return false
    }
  }
  expect(echoes.filter(({ fault }) => fault !== undefined).length).toBeGreaterThan(ROUNDS / 4)
  expect(echoes.map(({ fault }) => fault === undefined)).toEqual(texts.map(isJson))
})

needs('lua')('escapes, halves of pairs and depth are as RFC 8259 leaves them', async ({ lua }) => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  const [pair, half, zero, deep, deeper, digits] = await echo(lua, [
    '"\\ud83d\\ude00\\u00e9\\u20ac"',
    '"\\ud83d \\ude00"',
    '"\\u0000"',
    nested(DEPTH_MAX),
    nested(DEPTH_MAX + 1),
    '9007199254740993',
  ])

  expect(pair).toEqual({ text: '"😀é€"' })
  expect(half).toEqual({ text: '"\uFFFD \uFFFD"' })
  expect(zero).toEqual({ text: '"\\u0000"' })
  expect(deep).toEqual({ text: nested(DEPTH_MAX) })
  expect(deeper?.fault).toMatch(/nested too deep/)
  expect(digits).toEqual({ text: '9007199254740992' })
})

needs('lua')('a table says whether it is a list; what has no JSON raises', async ({ lua }) => {
  const source = `
    local json = require("lightwire_json")
    local report = import("Report")
    local loop = {}
    loop.loop = loop
    local without = { 0 / 0, 1 / 0, function() end, { [1] = 1, a = 2 }, { [1] = 1, [3] = 3 }, { [2] = 1 }, loop }
    report(json.encode({ {}, json.array({}), { a = json.null }, { 1, "x" }, 2 ^ 53 }))
    for _, value in ipairs(without) do report((pcall(json.encode, { a = value }))) end`
  await using script = startScript(lua, source)
  await script.ended

  const [written, ...raised] = script.reported
  expect(written).toBe('[{},[],{"a":null},[1,"x"],9007199254740992]')
  expect(raised).toEqual(Array.from({ length: 7 }, () => false))
})
