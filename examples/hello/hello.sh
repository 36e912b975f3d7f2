#!/bin/sh
# The smallest streamer: any program that writes lines. Pipe it into any persister.
printf '{"type":"RECORD","stream":"hello","record":{"value":"world"}}\n'
