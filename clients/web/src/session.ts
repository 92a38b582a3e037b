/** Whose page this is: the token of the start link, kept for this tab only. */
const KEPT = 'lightwire-token'

/** Takes `#token=…` out of the address, so that neither history nor a screenshot holds it, else the one this tab has. */
export function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given !== null) {
    history.replaceState(null, '', location.pathname + location.search)
    keepToken(given)
    return given
  }
  return sessionStorage.getItem(KEPT) ?? undefined
}

export function keepToken(token: string | undefined): void {
  if (token === undefined) sessionStorage.removeItem(KEPT)
  else sessionStorage.setItem(KEPT, token)
}
