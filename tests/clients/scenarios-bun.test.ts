/** The TypeScript client in Bun, through every scenario. */
import { playAll } from './play.ts'
import { players } from './players.ts'

playAll(players.bun, ...players.bun.needs)
