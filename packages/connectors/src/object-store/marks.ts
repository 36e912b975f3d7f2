/** What a session left in a store, as evidence: each object with its length and the service's mark of it. */
import { type Evidence, isObject, type Json, type VerifyFinding } from '@millrace/sdk'
import type { ObjectStore } from './store.ts'

export interface ObjectMark {
  readonly key: string
  readonly rows: number
  readonly bytes: number
  readonly etag: string
}

/** Gathers marks; those of a flush that did not come count for nothing. */
export class ObjectMarks {
  readonly #committed = new Map<string, ObjectMark[]>()
  #waiting: { readonly substream: string; readonly mark: ObjectMark }[] = []

  add(substream: string, mark: ObjectMark): void {
    this.#waiting.push({ substream, mark })
  }

  commit(): void {
    for (const { substream, mark } of this.#waiting) {
      const marks = this.#committed.get(substream) ?? []
      marks.push(mark)
      this.#committed.set(substream, marks)
    }
    this.#waiting = []
  }

  evidence(): readonly Evidence[] {
    return [...this.#committed].map(([substream, objects]) => ({
      substream,
      rows: objects.reduce((n, o) => n + o.rows, 0),
      marks: { objects: objects.map((o) => ({ ...o })) },
    }))
  }
}

const isMark = (value: Json): value is Json & ObjectMark =>
  isObject(value) &&
  typeof value['key'] === 'string' &&
  typeof value['rows'] === 'number' &&
  typeof value['bytes'] === 'number' &&
  typeof value['etag'] === 'string'

/** The marks in evidence that {@link ObjectMarks} made. */
export const marksIn = (evidence: Evidence): readonly ObjectMark[] => {
  const { objects } = evidence.marks
  return Array.isArray(objects) ? objects.filter(isMark) : []
}

/** Asks the service for each object again. */
export const verifyObjects = async (
  store: ObjectStore,
  evidence: readonly Evidence[],
): Promise<readonly VerifyFinding[]> => {
  const findings: VerifyFinding[] = []
  for (const e of evidence) {
    const problems: string[] = []
    let rows = 0
    for (const mark of marksIn(e)) {
      const now = await store.head(mark.key)
      if (now === undefined) problems.push(`${mark.key} is gone`)
      else if (now.size !== mark.bytes) problems.push(`${mark.key} has ${now.size} bytes, ${mark.bytes} were written`)
      else if (mark.etag !== '' && now.etag !== mark.etag) problems.push(`${mark.key} is not what was written`)
      else rows += mark.rows
    }
    findings.push({ substream: e.substream, rows, problems })
  }
  return findings
}
