/** A chart by uPlot, in the page's own colours, as wide as its place. */
import { useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import { useText } from '../text.tsx'
import { watchTheme } from '../theme.ts'

const HEIGHT = 132
/** Seconds that are shown at least: a fresh chart fills from the right. */
const LEAST_SPAN = 300
const MINUTE = 60
const FONT = '11px system-ui, sans-serif'

interface Line {
  /** Custom property that holds it. */
  readonly color: string
  readonly isFilled?: boolean
}

interface ChartProps {
  readonly label: string
  readonly lines: readonly Line[]
  /** Seconds since the epoch, then a list of values per line. */
  readonly data: readonly (readonly (number | null)[])[]
  readonly max?: number
}

export function Chart({ label, lines, data, max }: ChartProps) {
  const { language } = useText()
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const newest = useRef(data)
  const [theme, setTheme] = useState(0)
  newest.current = data

  useEffect(() => watchTheme(() => setTheme((count) => count + 1)), [])
  useEffect(() => {
    const element = box.current
    if (!element) return
    const made = new uPlot(optionsFor(element.clientWidth, lines, max, language), undefined, element)
    plot.current = made
    show(made, newest.current)
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
    }
  }, [theme, language, lines, max])
  // What uPlot draws is its own; here only the numbers change.
  useEffect(() => plot.current && show(plot.current, data))

  return <div ref={box} className="chart" role="img" aria-label={label} />
}

function optionsFor(
  width: number,
  lines: readonly Line[],
  max: number | undefined,
  language: string,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const color = (name: string) => style.getPropertyValue(name).trim()
  const axis = { stroke: color('--muted'), font: FONT, ticks: { show: false }, border: { show: false } }
  const grid = { stroke: color('--line'), width: 1 }
  const clockOf = (parts: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', hour12: false, ...parts })
  const [minutes, seconds] = [clockOf({}), clockOf({ second: '2-digit' })]
  return {
    width,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { auto: false },
      y: { range: (_, __, most) => [0, max ?? niceMax(most)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 24,
        space: 84,
        values: (_, splits, __, ___, step) =>
          splits.map((time) => (step < MINUTE ? seconds : minutes).format(time * 1000)),
      },
      { ...axis, grid, size: 38, space: 34 },
    ],
    series: [
      {},
      ...lines.map(({ color: name, isFilled = false }) => ({
        stroke: color(name),
        width: 1.5,
        points: { show: (plot: uPlot) => plot.data[0].length < 2 },
        ...(isFilled ? { fill: `${color(name)}26` } : {}),
      })),
    ],
  }
}

/** The span is set here: of one value alone uPlot makes a day. Without any there is still a now. */
function show(plot: uPlot, data: ChartProps['data']): void {
  const [times = []] = data
  const end = times.at(-1) ?? Date.now() / 1000
  plot.setData(data as uPlot.AlignedData, false)
  plot.setScale('x', { min: Math.min(times[0] ?? end, end - LEAST_SPAN), max: end })
}

/** Above all values, and so that the axis does not jump with each of them. */
function niceMax(most: number | null): number {
  const least = Math.max(5, most ?? 0)
  const step = 10 ** Math.floor(Math.log10(least))
  return Math.ceil((least * 1.05) / step) * step
}
