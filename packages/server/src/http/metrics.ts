/** Counters and gauges in the text form of Prometheus. */

type Labels = Readonly<Record<string, string>>

interface Family {
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly values: Map<string, number>
}

const textOf = (labels: Labels): string => {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`,
  )
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

export class Metrics {
  readonly #families = new Map<string, Family>()
  readonly #gauges = new Map<string, { readonly help: string; readonly read: () => number }>()

  /** Adds to a counter. Labels are few and come from our own words, never from a request. */
  count(name: string, help: string, by: number = 1, labels: Labels = {}): void {
    let family = this.#families.get(name)
    if (family === undefined) {
      family = { type: 'counter', help, values: new Map() }
      this.#families.set(name, family)
    }
    const key = textOf(labels)
    family.values.set(key, (family.values.get(key) ?? 0) + by)
  }

  /** A counter for one set of labels, for what is counted often. */
  counter(name: string, help: string, labels: Labels): () => void {
    this.count(name, help, 0, labels)
    const values = (this.#families.get(name) as Family).values
    const key = textOf(labels)
    return () => void values.set(key, (values.get(key) ?? 0) + 1)
  }

  /** A value that is asked for when somebody looks. */
  gauge(name: string, help: string, read: () => number): void {
    this.#gauges.set(name, { help, read })
  }

  text(): string {
    const lines: string[] = []
    for (const [name, { type, help, values }] of this.#families) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
      for (const [labels, value] of values) lines.push(`${name}${labels} ${value}`)
    }
    for (const [name, { help, read }] of this.#gauges)
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name} ${read()}`)
    return `${lines.join('\n')}\n`
  }
}
