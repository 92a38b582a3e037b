-- What a token says of itself (PROTOCOL §7), read and not verified: whether it opens a channel whole, or by its grants
-- alone.

local json = require("lightwire_json")

local token = {}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

local function decode_base64url(text)
  local bytes, value, bits = {}, 0, 0
  for i = 1, #text do
    local digit = DIGITS:find(text:sub(i, i), 1, true)
    if not digit then return nil end
    value, bits = value * 64 + digit - 1, bits + 6
    if bits >= 8 then
      bits = bits - 8
      bytes[#bytes + 1] = string.char(math.floor(value / 2 ^ bits))
      value = value % 2 ^ bits
    end
  end
  return table.concat(bytes)
end

-- The claims, or nil where they cannot be read.
function token.claims(text)
  local payload = decode_base64url(text:match("^[^.]+%.([^.]+)%.") or "")
  local claims = payload and json.decode(payload)
  return type(claims) == "table" and claims or nil
end

-- Whether some events of the channel are not for this token, so that their seqs are missing and are no gap.
function token.narrows(text, channel)
  local claims = token.claims(text or "")
  if not claims or type(claims.grants) ~= "table" or #claims.grants == 0 then return false end
  for scope in (type(claims.scope) == "string" and claims.scope or ""):gmatch("%S+") do
    if scope == "events:read" or scope == "events:read:" .. channel then return false end
  end
  return true
end

return token
