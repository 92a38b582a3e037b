/** A child process that answers one order at a time; its first message says its port. */

export interface Child extends Disposable {
  readonly pid: number
  readonly url: string
  order<O extends object>(order: O): Promise<number>
}

/** Starts a TypeScript file of this folder under the Bun that runs us. */
export async function startChild(file: string, ...options: readonly string[]): Promise<Child> {
  let answered = Promise.withResolvers<number>()
  const child = Bun.spawn([process.execPath, 'run', `${import.meta.dir}/${file}`, ...options], {
    stdout: 'inherit',
    stderr: 'inherit',
    ipc: ({ value }: { value: number }) => answered.resolve(value),
  })
  void child.exited.then((code) => answered.reject(new Error(`${file} ended with ${code}`)))
  const port = await answered.promise
  return {
    pid: child.pid,
    url: `http://127.0.0.1:${port}`,
    order(order) {
      answered = Promise.withResolvers<number>()
      child.send(order)
      return answered.promise
    },
    [Symbol.dispose]: () => child.kill(),
  }
}
