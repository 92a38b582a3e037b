/** The TypeScript client where WebSockets do not pass, through every scenario. */
import { playAll } from './play.ts'
import { players } from './players.ts'

const { bun } = players

playAll({ ...bun, transport: 'any' })
playAll({ ...bun, name: 'TypeScript over SSE', transport: 'sse' })
playAll({ ...bun, name: 'TypeScript over long-poll', transport: 'poll' })
