/** Pieces of generated pages. */

/** The line that says where a page comes from. */
export const generatedNote = (from: string): string =>
  `<!-- Made by \`npm run generate\` from ${from}; do not edit. -->`

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')

/** A table. Bars and line ends inside cells are made harmless. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')
