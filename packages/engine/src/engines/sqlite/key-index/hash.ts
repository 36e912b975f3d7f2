/**
 * 32 bits of a key, spread evenly. `seed` is random for each index file, so that nobody can make keys that fall together on
 * purpose. What is in files depends on it: it does not change without the version of the file.
 */
export const hashOf = (key: string, seed: number): number => {
  let h = seed | 0
  for (let i = 0; i < key.length; i++) {
    h = Math.imul(h ^ key.charCodeAt(i), 0x5bd1e995)
    h ^= h >>> 15
  }
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
