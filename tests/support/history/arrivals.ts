/** When things came, told by a process that is busy at times: what waited for it in a socket did not come late. */

/** How often the process looks whether it gets to look at its sockets. */
const LOOK_MS = 10

export class Arrivals {
  /** The last two looks. Between them every socket was read once, so what comes now was not there before the first. */
  private looks: readonly [number, number] = [Date.now(), Date.now()]
  /** The longest that it did not get to look: a machine that keeps it waiting keeps the server waiting too. */
  lateMs = 0
  private readonly timer = setInterval(() => {
    this.looks = [this.looks[1], Date.now()]
    this.lateMs = Math.max(this.lateMs, this.looks[1] - this.looks[0] - LOOK_MS)
  }, LOOK_MS)

  /** The earliest that what is read now can have come, in milliseconds of the wall clock. */
  get earliestMs(): number {
    return this.looks[0]
  }

  [Symbol.dispose](): void {
    clearInterval(this.timer)
  }
}
