/** Who wants to hear of what; a handler that throws breaks nothing but itself. */

type Hearer = (value: never) => unknown

export function createHandlers(onError: (error: unknown) => void) {
  const hearers = new Map<string, Set<Hearer>>()

  return {
    on(name: string, hearer: Hearer): () => void {
      // Of its own each time, so that the same function may be handed in twice and taken back once.
      const own: Hearer = (value) => hearer(value)
      const all = hearers.get(name) ?? new Set<Hearer>()
      hearers.set(name, all.add(own))
      return () => void all.delete(own)
    },

    emit(name: string, value: unknown): void {
      // Who comes meanwhile begins with the next one.
      for (const hearer of Array.from(hearers.get(name) ?? [])) {
        try {
          // Each name has one kind of value, which the client's types hold.
          const outcome = hearer(value as never)
          if (outcome instanceof Promise) outcome.catch(onError)
        } catch (error) {
          onError(error)
        }
      }
    },
  }
}
