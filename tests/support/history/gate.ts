/** Where the server is now: workers wait here while it is down. */

export class Gate {
  private current: string | undefined
  private waiting: (() => void)[] = []
  stopped = false
  /** Counts the servers that were here, this one included. */
  private lives = 0
  /** When the server that is here, or was last, began to drain, in milliseconds of the monotonic clock. */
  drainingMs = Infinity
  drainedUrl: string | undefined

  /** The server's URL, or undefined while it is down. */
  get url(): string | undefined {
    return this.current
  }

  /** Number of the life that the server is in. */
  get life(): number {
    return this.lives - 1
  }

  open(url: string): void {
    this.lives += 1
    this.drainingMs = Infinity
    this.current = url
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  shut(): void {
    this.current = undefined
  }

  /** The server was told to drain: it may still be asked, until the gate is shut. */
  drain(): void {
    this.drainingMs = performance.now()
    this.drainedUrl = this.current
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
