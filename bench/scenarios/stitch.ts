/** Into Stitch: the whole program against a server that takes everything at once. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { bin } from '../data.ts'
import type { DataFiles, Scenario, Subject } from '../harness.ts'
import { measureCommand, quoted } from '../processes.ts'

/** What Python's target-stitch reaches with an instant server on a machine of this kind, records/s. */
const targetStitch = { wide: 32_000, narrow: 82_200 }

const persist = (shape: 'wide' | 'narrow'): Subject => ({
  name: `stitch, validated, ${shape}`,
  sample: async (data: DataFiles) => {
    // Its work is not counted: the CPU seconds are those of the command.
    const server = createServer((request, response) => {
      request.resume()
      request.on('end', () =>
        response
          .writeHead(201, { 'content-type': 'application/json' })
          .end('{"status":"OK","message":"Batch Accepted!"}'),
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const program = `${quoted(process.execPath)} ${quoted(bin)} persist-stitch -T token --url ${url}`
    const sample = await measureCommand(`${program} < ${quoted(data[shape])}`, data.records)
    server.closeAllConnections()
    server.close()
    return sample
  },
})

export const stitch: Scenario = {
  name: 'stitch',
  title: '→ stitch, an instant server',
  subjects: [persist('wide'), persist('narrow')],
  claims: (['wide', 'narrow'] as const).map((shape) => ({
    path: `→ stitch (${shape}), against Python's target-stitch (${targetStitch[shape]} records/s)`,
    subject: persist(shape).name,
    baseline: targetStitch[shape],
    ratio: 4,
  })),
}
