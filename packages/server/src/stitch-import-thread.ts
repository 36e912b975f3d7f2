/** The thread that reads large bodies of the Import API: one of 4 MB takes half a second, in which nobody else would be answered. It is built here. */
import { parentPort } from 'node:worker_threads'
import { isMillraceError } from '@millrace/sdk/errors'
import type { Answer, Ask } from './compat/stitch-import/body-thread.ts'
import { BodyReader } from './compat/stitch-import/read-body.ts'
import { jsonSchemaCheck } from './schemas/json-schema.ts'

const reader = new BodyReader(jsonSchemaCheck)

const answer = ({ id, body, head }: Ask): readonly [Answer, ArrayBuffer[]] => {
  try {
    const read = reader.read(Buffer.from(body.buffer, body.byteOffset, body.byteLength), head)
    if (read.is !== 'taken') return [{ id, ...read }, []]
    const { records, isJson, digest } = read
    const { bytes, ends } = records
    const memory = [bytes.buffer, ends.buffer].filter((one) => one instanceof ArrayBuffer)
    return [{ id, is: 'taken', bytes, ends, isJson, digest }, memory]
  } catch (e) {
    const message = e instanceof Error ? e.message : String(e)
    return isMillraceError(e)
      ? [{ id, is: 'failed', code: e.code, details: e.details, message }, []]
      : [{ id, is: 'failed', code: undefined, details: {}, message }, []]
  }
}

parentPort?.on('message', (ask: Ask) => parentPort?.postMessage(...answer(ask)))
