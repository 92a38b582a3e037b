/** A typed helper per event type: `events.jobProgress({ … })` makes the event that `publish` takes. */
import { eventTypes, type EventInput, type EventType } from './events.ts'

type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S

type Helpers = {
  readonly [T in EventType as CamelCase<T>]: (data: EventInput<T>) => { readonly type: T } & EventInput<T>
}

const camelCase = (type: string) => type.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

// The names are made from the catalogue, so the compiler cannot follow them; the type above is made the same way.
export const events = Object.fromEntries(
  eventTypes.map((type) => [camelCase(type), (data: object) => ({ ...data, type })]),
) as unknown as Helpers
