/** The Python client, through every scenario: over a socket, and where only polling gets through. */
import { playAll } from './play.ts'
import { players } from './players.ts'

const { python } = players

playAll(python, ...python.needs)
playAll({ ...python, name: 'Python by polling', transport: 'poll' }, ...python.needs)
playAll({ ...python, name: 'Python by any way', transport: 'any' }, ...python.needs)
