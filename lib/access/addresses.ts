/** Client addresses: whom a request came from, past the proxies that are trusted; what a stranger claims counts for nothing. */
import { BlockList, isIP } from 'node:net'
import { parseSubnet } from '../setting-values.ts'

/** Proxies one behind another; further back nobody looks. */
const HOPS_MAX = 16
const UNKNOWN = 'unknown'

export type AddressOf = (headers: Headers, peer: string | undefined) => string

/**
 * Makes the key that limits count an address by: the rightmost one that no trusted proxy has, IPv6 by its /64, which
 * one customer has whole.
 * @param proxies addresses and CIDR blocks, as TRUSTED_PROXIES has them
 */
export function createAddresses(proxies: readonly string[]): AddressOf {
  const trusted = new BlockList()
  for (const text of proxies) {
    const subnet = parseSubnet(text)
    if (subnet) trusted.addSubnet(subnet.address, subnet.prefix, subnet.family)
  }
  const isTrusted = (address: string) => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

  /** The hops from right to left: each was written by the one before it, as long as that one is trusted. */
  function client(peer: string, hops: readonly (string | undefined)[]): string {
    let last = peer
    for (const hop of hops.slice(-HOPS_MAX).toReversed()) {
      if (hop === undefined) return last
      last = hop
      if (!isTrusted(hop)) return hop
    }
    return last
  }

  return (headers, peerText) => {
    const peer = plain(peerText ?? '')
    if (peer === undefined) return UNKNOWN
    if (proxies.length === 0 || !isTrusted(peer)) return network(peer)
    const [forwarded, older] = [headers.get('forwarded'), headers.get('x-forwarded-for')]
    const found = [
      ...(forwarded === null ? [] : [client(peer, forwarded.split(',').map(forwardedFor))]),
      ...(older === null ? [] : [client(peer, older.split(',').map(plain))]),
    ]
    // A proxy writes one of the two and passes the other on as a stranger made it: unless they agree, neither counts.
    const [one = peer, two = one] = found
    return network(one === two ? one : peer)
  }
}

/** The `for` of an element of Forwarded (RFC 7239 §4, §6). */
function forwardedFor(element: string): string | undefined {
  return plain(/(?:^|;)\s*for="?([^";]+)"?\s*(?:;|$)/i.exec(element)?.[1] ?? '')
}

/** An address without port, brackets, zone, and IPv6's mapping of IPv4; undefined where it is none. */
function plain(text: string): string | undefined {
  const trimmed = text.trim()
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(trimmed)?.[1] ?? /^([\d.]+):\d+$/.exec(trimmed)?.[1] ?? trimmed
  const address = bare.replace(/%.*$/, '').replace(/^::ffff:(?=[\d.]+$)/i, '')
  return isIP(address) === 0 ? undefined : address.toLowerCase()
}

function network(address: string): string {
  if (isIP(address) === 4) return address
  // A URL's host has one spelling for each address (RFC 5952).
  const [before = '', after] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const head = before.split(':').filter((group) => group !== '')
  const tail = (after ?? '').split(':').filter((group) => group !== '')
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0')
  return `${[...head, ...(after === undefined ? [] : zeros), ...tail].slice(0, 4).join(':')}::/64`
}
