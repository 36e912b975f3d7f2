/** Reads server-sent events (WHATWG HTML, 9.2.6) as a manager sends them. */

export interface StreamEvent {
  /** The offset of the record. */
  readonly id: string | undefined
  /** `message` where it says nothing else. */
  readonly type: string
  readonly data: string
}

/** Longest event. */
const maxEventChars = 128 * 1024 * 1024

/** The events of a body, those that came together at once. Throws what the body fails with. */
export const readEvents = async function* (body: AsyncIterable<Uint8Array>): AsyncGenerator<readonly StreamEvent[]> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    if (rest.length > maxEventChars) throw new Error('an event is too long')
    const end = rest.lastIndexOf('\n\n')
    if (end < 0) continue
    const events = rest
      .slice(0, end)
      .split('\n\n')
      .map(eventOf)
      .filter((e) => e !== undefined)
    rest = rest.slice(end + 2)
    if (events.length > 0) yield events
  }
}

const eventOf = (block: string): StreamEvent | undefined => {
  let id: string | undefined
  let type = 'message'
  let data: string | undefined
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':')
    if (colon <= 0) continue
    const name = line.slice(0, colon)
    const value = line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'id') id = value
    else if (name === 'event') type = value
    else if (name === 'data') data = data === undefined ? value : `${data}\n${value}`
  }
  return data === undefined ? undefined : { id, type, data }
}
