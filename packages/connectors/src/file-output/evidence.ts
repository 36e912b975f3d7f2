import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Evidence, isObject, systemCode, type VerifyFinding } from '@millrace/sdk'
import type { OutputFolder } from './folder.ts'

/** A piece of a file that one session wrote. */
interface Mark {
  readonly file: string
  readonly from: number
  readonly to: number
  readonly lines: number
  /** CRC-32 of the bytes, eight hexadecimal digits. */
  readonly digest: string
}

/** The digest of bytes `from` to `to` of a file. */
export const digestOf = async (path: string, from: number, to: number): Promise<string> => {
  let sum = 0
  if (to > from)
    for await (const chunk of createReadStream(path, { start: from, end: to - 1, highWaterMark: 1024 * 1024 }))
      sum = crc32(chunk as Buffer, sum)
  return sum.toString(16).padStart(8, '0')
}

/** What a session committed, read again from the files. */
export const evidenceOf = async (path: string, folder: OutputFolder): Promise<readonly Evidence[]> => {
  const bySubstream = new Map<string, Mark[]>()
  for (const { substream, file, from, to, lines } of folder.written()) {
    const marks = bySubstream.get(substream) ?? []
    const hidden = join(path, file)
    marks.push({ file, from, to, lines, digest: await digestOf(hidden, from, to) })
    bySubstream.set(substream, marks)
  }
  return [...bySubstream].map(([substream, files]) => ({
    substream,
    rows: files.reduce((sum, m) => sum + m.lines, 0),
    marks: { files: files.map((m) => ({ ...m })) },
  }))
}

const checkMark = async (path: string, mark: Mark): Promise<string | undefined> => {
  try {
    const { size } = await stat(join(path, mark.file))
    if (size < mark.to) return `${mark.file} has ${size} bytes, ${mark.to} were written`
    const digest = await digestOf(join(path, mark.file), mark.from, mark.to)
    return digest === mark.digest
      ? undefined
      : `${mark.file}: bytes ${mark.from} to ${mark.to} are not those that were written`
  } catch (e) {
    return `${mark.file} ${systemCode(e) === 'ENOENT' ? 'is gone' : `cannot be read (${systemCode(e)})`}`
  }
}

/** Reads the files again: whether each piece is as it was written. */
export const verifyFiles = async (path: string, evidence: readonly Evidence[]): Promise<readonly VerifyFinding[]> => {
  const findings: VerifyFinding[] = []
  for (const { substream, marks } of evidence) {
    const files = Array.isArray(marks['files']) ? marks['files'].filter(isObject) : []
    const problems: string[] = []
    let rows = 0
    for (const mark of files as unknown as Mark[]) {
      const problem = await checkMark(path, mark)
      if (problem === undefined) rows += mark.lines
      else problems.push(problem)
    }
    findings.push({ substream, rows, problems })
  }
  return findings
}
