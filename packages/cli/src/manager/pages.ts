/** All items of a list that comes in pages. */
export const allPages = async <T>(
  page: (after: string | undefined) => Promise<{ readonly items: readonly T[]; readonly next: string | null }>,
): Promise<readonly T[]> => {
  const items: T[] = []
  let after: string | undefined
  do {
    const { items: more, next } = await page(after)
    items.push(...more)
    after = next ?? undefined
  } while (after !== undefined)
  return items
}
