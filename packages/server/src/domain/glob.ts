/** A pattern of names as a test: `*` stands for any characters, `?` for one; all else for itself. */
export const globTest = (pattern: string): ((name: string) => boolean) => {
  if (!/[*?]/.test(pattern)) return (name) => name === pattern
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '[\\s\\S]*')
    .replace(/\?/g, '[\\s\\S]')
  const expression = new RegExp(`^${source}$`)
  return (name) => expression.test(name)
}
