import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

const HOST = '127.0.0.1'

/** A way to a port of loopback that can be cut: what a broken network is to both ends. */
export interface Cuttable extends AsyncDisposable {
  readonly port: number
  /** Told with the bytes that came from the client so far, whenever more come. */
  onBytes: (total: number) => void
  /** Bytes that went back to the client so far. */
  readonly back: () => number
  readonly cut: () => void
}

export const cuttable = async (to: number): Promise<Cuttable> => {
  const sockets = new Set<Socket>()
  let total = 0
  let back = 0
  const way = { onBytes: (_: number): void => {} }
  const server = createServer((near) => {
    const far = connect({ port: to, host: HOST })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.on('data', (chunk: Buffer) => {
      total += chunk.length
      way.onBytes(total)
    })
    far.on('data', (chunk: Buffer) => {
      back += chunk.length
    })
    near.pipe(far)
    far.pipe(near)
  }).listen(0, HOST)
  await once(server, 'listening')
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return Object.assign(way, {
    port: (server.address() as AddressInfo).port,
    back: () => back,
    cut,
    [Symbol.asyncDispose]: async () => {
      cut()
      server.close()
      await once(server, 'close')
    },
  })
}
