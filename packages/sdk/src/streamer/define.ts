import type { ConfigSpec } from '../config/fields.ts'
import type { Streamer } from './types.ts'

/** Defines a streamer. See docs/how-to/write-a-streamer.md; {@link runStreamer} runs it. */
export const defineStreamer = <C extends ConfigSpec>(definition: Omit<Streamer<C>, 'kind'>): Streamer =>
  ({ kind: 'streamer', ...definition }) as unknown as Streamer
