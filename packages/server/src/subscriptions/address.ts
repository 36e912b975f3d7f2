/**
 * Whom a push may reach. A subscriber's URL is given by whoever may read a stream, and is asked from where the manager stands: without
 * this rule it could reach what only that machine or its network can.
 */
import { BlockList, isIP } from 'node:net'

/** https://www.iana.org/assignments/iana-ipv4-special-registry and its sibling for IPv6: what is not globally reachable. */
// A list of its own for each family: IPv4 would else be looked for among IPv6, too, as mapped.
const notPublic4 = new BlockList()
const notPublic6 = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  notPublic4.addSubnet(net, bits, 'ipv4')
for (const [net, bits] of [
  // All that is mapped or translated from IPv4 is left out: it would hide one of those above.
  ['::', 3],
  ['64:ff9b::', 16],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const)
  notPublic6.addSubnet(net, bits, 'ipv6')

/** Whether an address is one of the public internet. */
export const isPublicAddress = (address: string): boolean => {
  // With a zone it is one of this link.
  const family = address.includes('%') ? 0 : isIP(address)
  if (family === 0) return false
  return family === 4 ? !notPublic4.check(address, 'ipv4') : !notPublic6.check(address, 'ipv6')
}
