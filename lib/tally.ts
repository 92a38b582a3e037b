/** Counts by channel, looked up when somebody asks: cheaper on the path of an event than a metric with labels. */
import { channels, type Channel } from './protocol/events.ts'

export class Tally {
  readonly counts = new Map<Channel, number>(channels.map((channel) => [channel, 0]))

  add(channel: Channel, count: number): void {
    this.counts.set(channel, (this.counts.get(channel) ?? 0) + count)
  }
}
