/** Where the server is now: workers wait here while it is down. */

export class Gate {
  private current: string | undefined
  private waiting: (() => void)[] = []
  stopped = false

  /** The server's URL, or undefined while it is down. */
  get url(): string | undefined {
    return this.current
  }

  open(url: string): void {
    this.current = url
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  shut(): void {
    this.current = undefined
  }

  /** Lets everybody go: there will be no other server. */
  stop(): void {
    this.stopped = true
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  /** Resolves when the server is up; undefined when the run is over. */
  async whenUp(): Promise<string | undefined> {
    while (this.current === undefined && !this.stopped) {
      await new Promise<void>((resolve) => this.waiting.push(resolve))
    }
    return this.stopped ? undefined : this.current
  }
}
