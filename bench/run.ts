/** `npm run bench`: both benches with their tables. Ratios count, the rates are this machine's. */
import { benchHub } from './hub.ts'
import { benchPath } from './path.ts'

console.log('The hub alone: deliveries per CPU-second, against a bare server.publish of the same bytes\n')
await benchHub()
console.log(
  '\nThe whole path: durable writes with their events, against bare Bun with one transaction each\n',
)
await benchPath()
