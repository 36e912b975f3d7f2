/** The target of rel="next" in a Link header (RFC 8288), or undefined. Commas and semicolons in URLs and quotes are text. */
export const nextLink = (header: string | undefined): string | undefined => {
  if (header === undefined) return undefined
  const link = /\s*<([^>]*)>((?:\s*;\s*[^\s=;,]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)\s*(?:,|$)/gy
  for (let m = link.exec(header); m !== null && m[0] !== ''; m = link.exec(header)) {
    const rel = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i.exec(m[2] ?? '')
    if ((rel?.[1] ?? rel?.[2] ?? '').toLowerCase().split(/\s+/).includes('next')) return m[1]
  }
  return undefined
}
