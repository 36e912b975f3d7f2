import { Transform, type TransformCallback } from 'node:stream'
import { createZstdDecompress, type ZstdDecompress } from 'node:zlib'

/** RFC 8878: a frame of data, and frames that decoders pass over. */
const frameMagic = 0xfd2fb528
const isSkippable = (magic: number): boolean => magic >>> 4 === 0x184d2a5

type Part = 'magic' | 'skip-size' | 'descriptor' | 'header' | 'block' | 'body' | 'checksum'

/** Follows the frames of a file by their headers, so that the end of each is known. */
class FrameWalker {
  #part: Part = 'magic'
  #missing = 4
  /** The bytes of a small part so far, as a number with the lowest byte first; its rest is not looked at. */
  #value = 0
  #taken = 0
  #hasChecksum = false
  #isLast = false
  #skips = false

  /** Whether the last frame ended. */
  get isBetween(): boolean {
    return this.#part === 'magic' && this.#taken === 0
  }

  /** Goes on from `at`; answers the end of the frame in this chunk, or -1 where it goes on behind it. */
  walk(chunk: Buffer, at: number): number {
    let i = at
    while (i < chunk.length) {
      const length = Math.min(this.#missing, chunk.length - i)
      if (this.#part !== 'body' && this.#part !== 'header')
        for (let k = 0; k < length; k++) this.#value += (chunk[i + k] as number) * 256 ** this.#taken++
      i += length
      this.#missing -= length
      // A body may be empty, so more than one part can end here.
      while (this.#missing === 0) if (this.#next()) return i
    }
    return -1
  }

  /** What comes behind the part that ended; answers whether the frame ended. */
  #next(): boolean {
    const value = this.#value
    const to = (part: Part, missing: number): false => {
      this.#part = part
      this.#missing = missing
      this.#value = 0
      this.#taken = 0
      return false
    }
    const end = (): true => {
      to('magic', 4)
      return true
    }
    switch (this.#part) {
      case 'magic':
        this.#skips = isSkippable(value)
        if (!this.#skips && value !== frameMagic) throw new Error('not a zstd frame')
        return this.#skips ? to('skip-size', 4) : to('descriptor', 1)
      case 'skip-size':
        this.#isLast = true
        this.#hasChecksum = false
        return to('body', value)
      case 'descriptor': {
        const isSingle = (value & 0x20) !== 0
        this.#hasChecksum = (value & 4) !== 0
        const contentSize = [isSingle ? 1 : 0, 2, 4, 8][value >> 6] as number
        return to('header', (isSingle ? 0 : 1) + ([0, 1, 2, 4][value & 3] as number) + contentSize)
      }
      case 'header':
        return to('block', 3)
      case 'block':
        this.#isLast = (value & 1) !== 0
        return to('body', ((value >> 1) & 3) === 1 ? 1 : value >> 3)
      case 'body':
        if (!this.#isLast) return to('block', 3)
        return this.#hasChecksum ? to('checksum', 4) : end()
      case 'checksum':
        return end()
      default:
        return this.#part satisfies never
    }
  }
}

/** Decompresses every frame of a file; holds no more than its buffers. */
class ZstdFramesDecompress extends Transform {
  readonly #walker = new FrameWalker()
  #frame: ZstdDecompress | undefined
  readonly #chunkSize: number

  constructor(chunkSize: number) {
    super()
    this.#chunkSize = chunkSize
  }

  override _read(size: number): void {
    this.#frame?.resume()
    super._read(size)
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#take(chunk, 0, done)
  }

  override _flush(done: TransformCallback): void {
    done(this.#walker.isBetween ? null : new Error('the file ends within a zstd frame'))
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#frame?.destroy()
    done(error)
  }

  #take(chunk: Buffer, at: number, done: TransformCallback): void {
    if (at === chunk.length) {
      done()
      return
    }
    try {
      const end = this.#walker.walk(chunk, at)
      this.#frame ??= this.#begin()
      const frame = this.#frame
      if (end < 0) {
        frame.write(chunk.subarray(at), () => done())
        return
      }
      frame.once('end', () => {
        this.#frame = undefined
        this.#take(chunk, end, done)
      })
      frame.end(chunk.subarray(at, end))
    } catch (e) {
      done(e as Error)
    }
  }

  #begin(): ZstdDecompress {
    const frame = createZstdDecompress({ chunkSize: this.#chunkSize })
    frame.on('data', (out: Buffer) => {
      if (!this.push(out)) frame.pause()
    })
    frame.on('error', (e: Error) => this.destroy(e))
    return frame
  }
}

/**
 * Decompresses zstd, all frames of it, in chunks of this many bytes. A file may have many (RFC 8878 §3); Node's own
 * stream stops in silence behind the first one that ends within a chunk.
 */
export const createZstdFramesDecompress = (chunkSize: number = 64 * 1024): Transform =>
  new ZstdFramesDecompress(chunkSize)
