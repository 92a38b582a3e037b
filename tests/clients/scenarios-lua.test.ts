/** The Lua client, which polls, through every scenario. */
import { playAll } from './play.ts'
import { players } from './players.ts'

playAll(players.lua, ...players.lua.needs)
